import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { OutputSummary } from '@opencode-tools/core';

const readBlock = 1024 ** 2;

/** Size and digest of a file as it lies on disk. */
export async function summariseFile(file: FileHandle): Promise<OutputSummary> {
  const hash = createHash('sha256');
  const block = Buffer.alloc(readBlock);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await file.read(block, 0, readBlock, bytes);
    if (bytesRead === 0) return { bytes, digest: hash.digest('hex') };
    hash.update(block.subarray(0, bytesRead));
    bytes += bytesRead;
  }
}
