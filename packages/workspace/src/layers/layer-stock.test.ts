import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LayerPort } from '@opencode-tools/core';
import { expect, onTestFinished, test } from 'vitest';
import { LayerFiles } from './layer-files.ts';
import { LayerStock } from './layer-stock.ts';

test('a failure is told as it is when the engine does not say what is left', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'oct-layer-stock-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const layers = { names: () => Promise.reject(new Error('no engine')) } as Partial<LayerPort> as LayerPort;
  const files = new LayerFiles(directory);
  const stock = new LayerStock(layers, files);
  const snapshot = await files.saveSnapshot({ layers: ['one'] } as unknown as Parameters<typeof files.saveSnapshot>[0]);
  const failing = () => Promise.reject(new Error('the disk is full'));
  await expect(stock.explained(snapshot, failing)).rejects.toThrow('the disk is full');
});
