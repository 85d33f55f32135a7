import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type JsonObject, type Task, type TaskMemory, canonicalJson, sha256 } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleCheckpoint,
  sampleDecision,
  sampleExecution,
  sampleIds,
  sampleMessage,
  sampleNote,
  sampleSession,
  sampleActor,
} from './registry-samples.ts';

/** Says what every `TaskMemory` does. Called at the top level of a test file. */
export function taskMemoryContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a task memory`, () => {
    let registry: OpenRegistry;
    let memory: TaskMemory;
    let task: Task;
    beforeEach(async () => {
      registry = await open();
      ({ memory } = registry);
      task = await addTask(registry.tasks);
    });
    afterEach(async () => registry.close());

    const file = (path: string) => join(registry.directory, memory.directory(task.id), path);
    const text = (path: string) => fs.readFileSync(file(path), 'utf8');
    const seqs = (path: string) =>
      text(path)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { readonly seq: number }).seq);
    const fill = async () => {
      const checkpoint = sampleCheckpoint(task.id);
      await addRows(registry.tasks, task.id, { noun: 'decision', value: sampleDecision(task.id) });
      await addRows(registry.tasks, task.id, { noun: 'execution', value: sampleExecution(task.id) });
      await addRows(registry.tasks, task.id, { noun: 'message', value: sampleMessage(task.id) });
      await addRows(registry.tasks, task.id, { noun: 'checkpoint', value: checkpoint });
      await memory.project(task.id);
      return checkpoint;
    };

    describe('projecting', () => {
      test('writes the log as the ledger has it', async () => {
        await fill();
        const records = await registry.ledger.read(task.id);
        expect(
          text('log.jsonl')
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line) as unknown),
        ).toEqual(records);
      });

      test('writes a view per kind, a page for people and a manifest per checkpoint', async () => {
        const checkpoint = await fill();
        expect(seqs('executions.jsonl')).toEqual([3]);
        expect(seqs('conversations.jsonl')).toEqual([4]);
        expect(text('decisions.md')).toContain('## Use one import per line');
        expect(text('decisions.md')).toContain('- Group them by package');
        expect(JSON.parse(text(`checkpoints/${checkpoint.id}/manifest.json`))).toEqual(checkpoint);
      });

      test('lists the manifests that are there, and takes one away with its checkpoint', async () => {
        const [first, second] = [await fill(), await fill()];
        expect(new Set(await memory.listCheckpoints())).toEqual(new Set([first.id, second.id]));
        const removal = { id: first.id, taskId: task.id };
        await addRows(registry.tasks, task.id, { noun: 'checkpointRemoval', value: removal });
        await memory.project(task.id);
        expect(await memory.listCheckpoints()).toEqual([second.id]);
        expect(fs.existsSync(file(`checkpoints/${first.id}`))).toBe(false);
        expect((await memory.heal(task.id)).healed).toEqual([]);
      });

      test('keeps the newest state, under its own digest', async () => {
        await fill();
        const session = sampleSession(task.id);
        const common = {
          actor: sampleActor,
          correlationId: null,
          takeover: false,
          mode: 'exclusive',
          maxAgents: 1,
        } as const;
        const { lease } = await registry.leases.acquire({ ...common, session, ttlMs: 60_000 });
        await memory.project();
        const state = await memory.readState(task.id);
        expect(state).toMatchObject({ v: 1, task, sessions: [session], leases: [lease] });
        expect(state['ledger']).toEqual(await registry.ledger.head(task.id));
      });

      test('appends nothing twice, however often and from wherever it is asked', async () => {
        await Promise.all(
          Array.from({ length: 12 }, () =>
            addRows(registry.tasks, task.id, { noun: 'note', value: sampleNote(task.id) }),
          ),
        );
        await Promise.all(Array.from({ length: 5 }, () => memory.project(task.id)));
        expect(seqs('log.jsonl')).toEqual(Array.from({ length: 13 }, (_, index) => index + 1));
      });

      test('is done by closing at the latest', async () => {
        memory.touch(task.id);
        await memory.close();
        expect(seqs('log.jsonl')).toEqual([1]);
      });

      test('goes on where a crash cut a line in two', async () => {
        await memory.project(task.id);
        fs.appendFileSync(file('log.jsonl'), '{"v":1,"stream":"ts');
        await addRows(registry.tasks, task.id);
        await memory.project(task.id);
        expect(seqs('log.jsonl')).toEqual([1, 2]);
        expect(await memory.heal(task.id)).toMatchObject({ healed: [] });
      });
    });

    describe('healing', () => {
      const damages: readonly (readonly [string, string, (path: string) => void])[] = [
        ['truncated', 'truncated', (path) => fs.truncateSync(path, fs.statSync(path).size >> 1)],
        ['emptied', 'empty', (path) => fs.truncateSync(path, 0)],
        ['removed', 'missing', (path) => fs.rmSync(path)],
        ['flipped in one bit', 'changed', flipBit],
        ['replaced', 'changed', (path) => fs.writeFileSync(path, `${randomBytes(4_000).toString('hex')}\n`)],
      ];
      const files = ['log.jsonl', 'executions.jsonl', 'conversations.jsonl', 'decisions.md', 'state.json', 'manifest'];
      const cases = files.flatMap((path) => damages.map((damage) => [path, ...damage] as const));

      test.each(cases)('brings %s back when it was %s', async (path, _, __, damage) => {
        const checkpoint = await fill();
        const shown = path === 'manifest' ? `checkpoints/${checkpoint.id}/manifest.json` : path;
        const before = text(shown);
        damage(file(shown));
        const damaged = fs.existsSync(file(shown)) ? text(shown) : null;
        const { healed } = await memory.heal(task.id);
        expect(healed).toHaveLength(1);
        expect(healed[0]?.file).toBe(shown);
        if (shown === 'log.jsonl' || shown === 'state.json') expect(text(shown)).not.toBe(damaged);
        else expect(text(shown)).toBe(before);
        expect(healed[0]?.keptAs === null ? null : text(healed[0]?.keptAs ?? '')).toBe(damaged);
        expect(seqs('log.jsonl')).toEqual([1, 2, 3, 4, 5, 6]);
        expect((await registry.ledger.read(task.id, { newestFirst: true, limit: 1 }))[0]?.type).toBe('memory.healed');
        expect(await memory.heal(task.id)).toMatchObject({ healed: [] });
      });

      test('keeps a state of a newer version aside', async () => {
        await fill();
        fs.writeFileSync(file('state.json'), JSON.stringify({ v: 2 }));
        await expect(memory.readState(task.id)).rejects.toMatchObject({ code: 'OCT_SCHEMA_TOO_NEW' });
        const { healed } = await memory.heal(task.id);
        expect(healed).toMatchObject([{ file: 'state.json', fault: 'newer-schema' }]);
      });

      test('notices a state whose digest was made to fit', async () => {
        await fill();
        const state = await memory.readState(task.id);
        const { digest: _, ...rest } = { ...state, todos: [{ id: 'x' }] } as JsonObject;
        const forged = { ...rest, digest: sha256(canonicalJson(rest)) };
        fs.writeFileSync(file('state.json'), JSON.stringify(forged));
        expect((await memory.heal(task.id)).healed).toMatchObject([{ file: 'state.json', fault: 'changed' }]);
      });

      test('finds nothing wrong with what is well, renewed leases included', async () => {
        await fill();
        const session = sampleSession(task.id);
        const common = {
          actor: sampleActor,
          correlationId: null,
          takeover: false,
          mode: 'exclusive',
          maxAgents: 1,
        } as const;
        const { lease } = await registry.leases.acquire({ ...common, session, ttlMs: 60_000 });
        await memory.project(task.id);
        await registry.passTime(5_000);
        await registry.leases.renew({ taskId: task.id, sessionId: session.id, leaseId: lease.id, token: lease.token });
        expect(await memory.heal(task.id)).toEqual({ taskId: task.id, healed: [] });
      });

      test('reports what is wrong with a state when it is read', async () => {
        await fill();
        flipBit(file('state.json'));
        await expect(memory.readState(task.id)).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
      });
    });

    describe('outputs', () => {
      const executionId = sampleIds.next('execution');

      test('are kept whole, with size and digest', async () => {
        const { stdout, stderr } = await memory.openOutput(task.id, executionId);
        const chunks = Array.from({ length: 64 }, (_, index) => randomBytes(index * 997));
        for (const chunk of chunks) {
          stdout.write(chunk);
          if (chunk.length % 2 === 0) await stdout.drained();
        }
        const whole = Buffer.concat(chunks);
        const summary = await stdout.close();
        expect(summary).toEqual({ bytes: whole.length, digest: createHash('sha256').update(whole).digest('hex') });
        expect(await stderr.close()).toEqual({ bytes: 0, digest: sha256('') });
        expect(await memory.summariseOutput(task.id, executionId, 'stdout')).toEqual(summary);
        const slice = await memory.readOutput(task.id, executionId, 'stdout', { limit: 16 * 1024 ** 2 });
        expect(Buffer.from(slice.bytes).equals(whole)).toBe(true);
      });

      test('are read in parts, from the start or from the end', async () => {
        const { stdout, stderr } = await memory.openOutput(task.id, executionId);
        stdout.write(Buffer.from('0123456789'));
        await Promise.all([stdout.close(), stderr.close()]);
        const part = async (range: { readonly offset?: number; readonly limit?: number }) => {
          const { bytes, offset, totalBytes } = await memory.readOutput(task.id, executionId, 'stdout', range);
          return [Buffer.from(bytes).toString(), offset, totalBytes];
        };
        expect(await part({ offset: 2, limit: 3 })).toEqual(['234', 2, 10]);
        expect(await part({ offset: -3 })).toEqual(['789', 7, 10]);
        expect(await part({ offset: -30 })).toEqual(['0123456789', 0, 10]);
        expect(await part({ offset: 99 })).toEqual(['', 10, 10]);
        await expect(part({ limit: 16 * 1024 ** 2 + 1 })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      });

      test('can be read while they are written', async () => {
        const { stdout, stderr } = await memory.openOutput(task.id, executionId);
        stdout.write(Buffer.from('so far'));
        await stdout.drained();
        expect(Buffer.from((await memory.readOutput(task.id, executionId, 'stdout')).bytes).toString()).toBe('so far');
        await Promise.all([stdout.close(), stderr.close()]);
      });

      test('replace what an earlier attempt left, without following a link', async () => {
        const victim = join(registry.directory, 'victim');
        fs.writeFileSync(victim, 'untouched');
        fs.mkdirSync(file(`executions/${executionId}`), { recursive: true });
        fs.symlinkSync(victim, file(`executions/${executionId}/stdout`));
        fs.writeFileSync(file(`executions/${executionId}/stderr`), 'earlier');
        const { stdout, stderr } = await memory.openOutput(task.id, executionId);
        stdout.write(Buffer.from('new'));
        await Promise.all([stdout.close(), stderr.close()]);
        expect(fs.readFileSync(victim, 'utf8')).toBe('untouched');
        expect(text(`executions/${executionId}/stdout`)).toBe('new');
        expect(fs.existsSync(file(`executions/${executionId}/stderr`))).toBe(false);
      });

      test('are refused for ids that are none', async () => {
        const missing = memory.readOutput(task.id, sampleIds.next('execution'), 'stdout');
        await expect(missing).rejects.toMatchObject({ code: 'OCT_EXECUTION_NOT_FOUND' });
        const outside = memory.readOutput('tsk_../../etc', executionId, 'stdout');
        await expect(outside).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      });
    });
  });
}

function flipBit(path: string): void {
  const bytes = fs.readFileSync(path);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  fs.writeFileSync(path, bytes);
}
