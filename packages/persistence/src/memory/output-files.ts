import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import {
  type ExecutionId,
  OpencodeToolsError,
  type OutputRange,
  type OutputSink,
  type OutputSlice,
  type OutputStream,
  type OutputSummary,
} from '@opencode-tools/core';
import { errnoOf } from '../home/home-file.ts';
import { assertRoomBeside, lookEveryBytes } from './disk-reserve.ts';
import { NewFile } from './new-file.ts';
import { FileOutputSink } from './output-sink.ts';
import { summariseFile } from './summarise-file.ts';
import { readAtOnce } from './state-file.ts';
import type { TaskPaths } from './task-paths.ts';

const defaultLimit = 65_536;
const largestLimit = 16 * 1024 ** 2;

/** Both outputs of an execution. A file is made when its first byte comes; whatever is found under its name is removed first. */
export function openOutputs(paths: TaskPaths, executionId: ExecutionId): Readonly<Record<OutputStream, OutputSink>> {
  return {
    stdout: new FileOutputSink(new NewFile(paths.output(executionId, 'stdout'))),
    stderr: new FileOutputSink(new NewFile(paths.output(executionId, 'stderr'))),
  };
}

/** Reads a part of an output. @throws OpencodeToolsError `OCT_EXECUTION_NOT_FOUND` when no output is kept. */
export async function readOutputSlice(
  paths: TaskPaths,
  executionId: ExecutionId,
  stream: OutputStream,
  range: OutputRange = {},
): Promise<OutputSlice> {
  const limit = range.limit ?? defaultLimit;
  if (!Number.isInteger(limit) || limit < 0 || limit > largestLimit) throw badRange('limit', limit);
  if (!Number.isInteger(range.offset ?? 0)) throw badRange('offset', range.offset ?? 0);
  await using file = await openForReading(paths, executionId, stream);
  const { size: totalBytes } = await file.stat();
  const asked = range.offset ?? 0;
  const offset = asked < 0 ? Math.max(0, totalBytes + asked) : Math.min(asked, totalBytes);
  const wanted = Math.min(limit, totalBytes - offset);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(wanted), 0, wanted, offset);
  return { bytes: buffer.subarray(0, bytesRead), offset, totalBytes };
}

export async function summariseOutputFile(
  paths: TaskPaths,
  executionId: ExecutionId,
  stream: OutputStream,
): Promise<OutputSummary> {
  await using file = await openForReading(paths, executionId, stream);
  return await summariseFile(file);
}

/** How much of an output is kept; 0 when no file is. */
export async function sizeOfOutput(paths: TaskPaths, executionId: ExecutionId, stream: OutputStream): Promise<number> {
  try {
    return (await lstat(paths.output(executionId, stream))).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** Writes bytes at their place in a file, which is made when there is none. */
export async function writeOutputPart(
  name: string,
  { offset, bytes }: { readonly offset: number; readonly bytes: Uint8Array },
): Promise<void> {
  await mkdir(path.dirname(name), { recursive: true, mode: 0o700 });
  if (offset >= lookEveryBytes) assertRoomBeside(path.dirname(name));
  await using file = await open(name, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  for (let done = 0; done < bytes.byteLength;) {
    done += (await file.write(bytes, done, bytes.byteLength - done, offset + done)).bytesWritten;
  }
}

async function openForReading(paths: TaskPaths, executionId: ExecutionId, stream: OutputStream): Promise<FileHandle> {
  try {
    return await open(paths.output(executionId, stream), readAtOnce | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new OpencodeToolsError('OCT_EXECUTION_NOT_FOUND', `No ${stream} of execution ${executionId} is kept`, {
      details: { executionId, stream },
    });
  }
}

function badRange(argument: string, value: number): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a valid ${argument} of an output: ${value}`, {
    remedy: `Give a whole number; the limit is at most ${largestLimit}.`,
    details: { argument },
  });
}
