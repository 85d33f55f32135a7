import type { CacheFacts } from '@opencode-tools/core';
import type { Command } from '../command.ts';
import { formatBytes, formatTime, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

export const cachesList: Command<{ readonly caches: readonly CacheFacts[] }> = {
  name: 'caches list',
  summary: 'list the volumes that tasks share for what they download',
  parameters: [],
  options: [],
  run: async ({ services }) => ({ caches: await services.caches.list({ sizes: true }) }),
  render: ({ caches }, style) =>
    caches.length === 0
      ? style.dim('No caches.')
      : table(
          caches,
          [
            { title: 'CACHE', text: ({ name }) => oneLine(name) },
            { title: 'PATH', text: ({ path }) => path ?? 'not configured any more' },
            { title: 'SIZE', text: sizeOf },
            { title: 'USER', text: ({ uid }) => String(uid) },
            { title: 'CREATED', text: ({ createdAt }) => formatTime(createdAt) },
            { title: 'VOLUME', text: ({ volume }) => volume },
          ],
          style,
        ),
};

function sizeOf({ bytes, budgetBytes }: CacheFacts): string {
  const held = bytes === null ? '?' : formatBytes(bytes);
  return budgetBytes === null ? held : `${held} of ${formatBytes(budgetBytes)}`;
}

export const cachesTrim: Command<{ readonly removed: readonly CacheFacts[] }> = {
  name: 'caches trim',
  summary:
    'remove caches that hold more than `cacheBudget`, where no sandbox has them; done each hour by whoever keeps house',
  changes: 'home',
  parameters: [],
  options: [],
  run: async ({ services, call }) => ({ removed: await services.caches.trim(call) }),
  render: ({ removed }, style) =>
    removed.length === 0
      ? style.dim('Nothing to remove.')
      : lines(...removed.map((cache) => `${style.good('removed')} ${cache.volume}, which held ${sizeOf(cache)}`)),
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
