import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
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
  for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
    const message = parse(line);
    if (message.error !== undefined) throw new EngineError(500, message.error);
    const text = printable(message.stream ?? [message.id, message.status].filter(Boolean).join(': ')).trimEnd();
    if (text) onLine(text);
  }
}

function parse(line: string): ProgressMessage {
  try {
    return JSON.parse(line) as ProgressMessage;
  } catch {
    return {};
  }
}
