import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import { quoted } from '../arguments/usage-error.ts';

/**
 * Opens a file of the host to read, and nothing but a file.
 *
 * @param writer the verb that wrote it, for the remedy
 */
export async function openSource(file: string, cwd: string, writer: string): Promise<FileHandle> {
  try {
    const source = await open(resolve(cwd, file));
    if ((await source.stat()).isFile()) return source;
    await source.close();
  } catch (cause) {
    throw unreadable(file, writer, cause);
  }
  throw unreadable(file, writer);
}

function unreadable(file: string, writer: string, cause?: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The file ${quoted(file)} cannot be read`, {
    remedy: `Name a file that \`${writer}\` wrote, or - for standard input.`,
    details: { argument: 'file' },
    cause,
  });
}
