import type { Readable } from 'node:stream';
import { printable } from '@opencode-tools/core';
import { EngineError } from '../engine/engine-error.ts';

interface ProgressMessage {
  readonly stream?: string;
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
}

/**
 * Reads the engine's messages about a build, pull or import until they end.
 *
 * @throws EngineError when one of them is an error
 */
export async function readLines(answer: Readable, onLine: (line: string) => void): Promise<void> {
  for await (const line of linesOf(answer)) {
    const message = parse(line);
    if (message.error !== undefined) throw new EngineError(500, message.error);
    const text = printable(message.stream ?? [message.id, message.status].filter(Boolean).join(': ')).trimEnd();
    if (text) onLine(text);
  }
}

/** An answer that breaks off is an error, which `node:readline` would pass over. */
async function* linesOf(answer: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of answer.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split(/\r?\n/);
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function parse(line: string): ProgressMessage {
  try {
    return JSON.parse(line) as ProgressMessage;
  } catch {
    return {};
  }
}
