import { OpencodeToolsError } from '@opencode-tools/core';

const maxBytes = 64 * 1024 ** 2;

/** Reads a stream to its end. @throws OpencodeToolsError `OCT_RESOURCE_LIMIT` past 64 MiB */
export async function readAll(stream: NodeJS.ReadableStream): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    bytes += piece.length;
    if (bytes > maxBytes) {
      throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `Standard input is larger than ${maxBytes} bytes`, {
        remedy: 'Put the data into a file of the workspace.',
        details: { limit: 'stdin', maxBytes },
      });
    }
    chunks.push(piece);
  }
  return Buffer.concat(chunks);
}
