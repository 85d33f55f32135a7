import type { StoreStatus } from '@opencode-tools/core';
import type { Command } from '../command.ts';
import { formatBytes, oneLine } from '../render/format.ts';
import { facts } from '../render/table.ts';

export const dbStatus: Command<StoreStatus> = {
  name: 'db status',
  summary: 'show where the registry is and what it holds',
  parameters: [],
  options: [],
  run: ({ home }) => home.store.status(),
  render(status, style) {
    return facts(
      [
        ['home', status.homeId],
        ['engine', status.engine],
        ['location', oneLine(status.location, 200)],
        ['schema', `${status.schemaVersion} of ${status.latestSchemaVersion}`],
        ['epoch', String(status.epoch)],
        ['tasks', String(status.tasks)],
        ['records', String(status.records)],
        ['size', formatBytes(status.sizeBytes)],
      ],
      style,
    );
  },
};
