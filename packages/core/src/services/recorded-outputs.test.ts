import { describe, expect, it } from 'vitest';
import type { OutputSink } from '../ports/task-memory.ts';
import { RecordedOutputs, type RecordedOutputsOptions } from './recorded-outputs.ts';

class Sink implements OutputSink {
  bytes = 0;
  waits = 0;
  failure: Error | undefined;
  readonly gate = Promise.withResolvers<void>();

  write(chunk: Uint8Array): void {
    this.bytes += chunk.length;
  }
  async drained(): Promise<void> {
    this.waits += 1;
    if (this.failure !== undefined) throw this.failure;
    await this.gate.promise;
  }
  async close(): Promise<{ bytes: number; digest: string }> {
    if (this.failure !== undefined) throw this.failure;
    return { bytes: this.bytes, digest: '' };
  }
}

function recorded(change: Partial<RecordedOutputsOptions> = {}) {
  const sinks = { stdout: new Sink(), stderr: new Sink() };
  const options = { sinks, outputLimitBytes: 64, maxOutputBytes: 1024 ** 3, onOutput: undefined, ...change };
  return { sinks, outputs: new RecordedOutputs(options) };
}

const mebibyte = new Uint8Array(1024 ** 2);

describe('recorded outputs', () => {
  it('take small outputs without waiting', () => {
    const { outputs, sinks } = recorded();
    expect(outputs.take('stdout', Buffer.from('hello'))).toBeUndefined();
    expect(outputs.preview('stdout')).toMatchObject({ text: 'hello', totalBytes: 5 });
    expect(sinks.stdout).toMatchObject({ bytes: 5, waits: 0 });
  });

  it('ask for patience when much is on its way to disk', async () => {
    const { outputs, sinks } = recorded();
    expect(outputs.take('stdout', mebibyte)).toBeUndefined();
    const patience = outputs.take('stdout', mebibyte);
    expect(patience).toBeInstanceOf(Promise);
    sinks.stdout.gate.resolve();
    await patience;
    expect(outputs.take('stdout', Buffer.from('more'))).toBeUndefined();
  });

  it('ask for the patience that their watcher needs', async () => {
    const watching = Promise.withResolvers<void>();
    const { outputs } = recorded({ onOutput: async () => watching.promise });
    const patience = outputs.take('stderr', Buffer.from('x'));
    expect(patience).toBeInstanceOf(Promise);
    watching.resolve();
    await patience;
  });

  it.each([false, true])('give their watcher chunks to keep unless they are asked to lend them (%s)', (lendsChunks) => {
    const seen: Uint8Array[] = [];
    const onOutput = (_stream: string, chunk: Uint8Array) => void seen.push(chunk);
    const { outputs } = recorded({ onOutput, lendsChunks });
    const memory = Buffer.from('one');
    void outputs.take('stdout', memory);
    memory.write('two');
    void outputs.take('stdout', memory);
    expect(Buffer.concat(seen).toString()).toBe(lendsChunks ? 'twotwo' : 'onetwo');
  });

  it('keep and show so much of each and no more, and say that there was more', () => {
    const seen: string[] = [];
    const onOutput = (stream: string, chunk: Uint8Array) => void seen.push(`${stream} ${chunk.length}`);
    const { outputs, sinks } = recorded({ maxOutputBytes: 10, onOutput });
    void outputs.take('stdout', Buffer.from('123456'));
    void outputs.take('stderr', Buffer.from('1234567890'));
    expect(outputs.full.aborted).toBe(false);
    void outputs.take('stdout', Buffer.from('789012'));
    void outputs.take('stdout', Buffer.from('345'));
    expect(outputs.full.aborted).toBe(true);
    expect(sinks).toMatchObject({ stdout: { bytes: 10 }, stderr: { bytes: 10 } });
    expect(outputs.preview('stdout')).toMatchObject({ text: '1234567890', totalBytes: 10 });
    expect(seen).toEqual(['stdout 6', 'stderr 10', 'stdout 4']);
  });

  it.each(['ENOSPC', 'EDQUOT'])('say that the disk is full (%s)', async (code) => {
    const { outputs, sinks } = recorded();
    sinks.stdout.failure = Object.assign(new Error('no space'), { code });
    const refused = { code: 'OCT_RESOURCE_LIMIT', details: { limit: 'disk' } };
    void outputs.take('stdout', mebibyte);
    await expect(outputs.take('stdout', mebibyte)).rejects.toMatchObject(refused);
    await expect(outputs.close()).rejects.toMatchObject(refused);
    expect(await outputs.abandon()).toEqual({ stdout: null, stderr: { bytes: 0, digest: '' } });
  });

  it('pass other faults on as they are', async () => {
    const { outputs, sinks } = recorded();
    sinks.stderr.failure = new Error('unreadable');
    await expect(outputs.close()).rejects.toBe(sinks.stderr.failure);
  });
});
