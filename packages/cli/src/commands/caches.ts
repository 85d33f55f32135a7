import type { CacheFacts } from '@opencode-tools/core';
import type { Command } from '../command.ts';
import { formatTime, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

export const cachesList: Command<{ readonly caches: readonly CacheFacts[] }> = {
  name: 'caches list',
  summary: 'list the volumes that tasks share for what they download',
  parameters: [],
  options: [],
  run: async ({ services }) => ({ caches: await services.caches.list() }),
  render: ({ caches }, style) =>
    caches.length === 0
      ? style.dim('No caches.')
      : table(
          caches,
          [
            { title: 'CACHE', text: ({ name }) => oneLine(name) },
            { title: 'PATH', text: ({ path }) => path ?? 'not configured any more' },
            { title: 'USER', text: ({ uid }) => String(uid) },
            { title: 'CREATED', text: ({ createdAt }) => formatTime(createdAt) },
            { title: 'VOLUME', text: ({ volume }) => volume },
          ],
          style,
        ),
};

export const cachesRemove: Command<{ readonly removed: readonly CacheFacts[] }> = {
  name: 'caches remove',
  summary: 'remove a cache with all that is in it; refused while a sandbox has it',
  changes: 'home',
  parameters: [{ name: 'cache', summary: 'name of a cache' }],
  options: [],
  run: async ({ services, input, call }) => ({ removed: await services.caches.remove(input.text('cache'), call) }),
  render: ({ removed }, style) => lines(...removed.map(({ volume }) => `${style.good('removed')} ${volume}`)),
};
