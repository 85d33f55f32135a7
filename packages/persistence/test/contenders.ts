import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StoredRecord, Task, TaskId } from '@opencode-tools/core';
import { addTask, until } from '@opencode-tools/testkit';
import type { RegistryPlace, Store } from '../src/index.ts';
import { openAt } from './administration.ts';
import { historyFaults } from './check-history.ts';
import { LineLog } from './line-log.ts';
import { type Child, startFile } from './start-child.ts';

/** What a process is told to contend for. */
export interface Work {
  readonly tasks: readonly TaskId[];
  readonly contenders: number;
}

/** What a process tells. */
export type Told =
  | { readonly what: 'idle' }
  | { readonly what: 'granted'; readonly taskId: TaskId; readonly token: number }
  | { readonly what: 'wrote' | 'lost'; readonly taskId: TaskId; readonly noteId: string }
  | { readonly what: 'refused'; readonly taskId: TaskId; readonly code: string };

export interface Contest {
  readonly processes: number;
  readonly contendersPerProcess: number;
  readonly tasks: number;
}

const script = fileURLToPath(new URL('contender-child.ts', import.meta.url));
const grantsBetween = 8;
/** Longer than a lease, and than a waiter is waited for. */
const stoppedForMs = 4_000;

/**
 * Processes that contend for tasks of one registry and are killed and stopped at random. After each round everything that was
 * promised is looked for in what is left: in the records, in the rows, in the files, and in what the processes were told.
 */
export class Contenders implements AsyncDisposable {
  readonly #directory: string;
  readonly #place: RegistryPlace;
  readonly #store: Store;
  readonly #line: LineLog;
  readonly #random: () => number;
  #children: Child[] = [];

  private constructor(directory: string, place: RegistryPlace, store: Store, line: LineLog, random: () => number) {
    this.#directory = directory;
    this.#place = place;
    this.#store = store;
    this.#line = line;
    this.#random = random;
  }

  static async open(directory: string, place: RegistryPlace, random: () => number): Promise<Contenders> {
    const store = await openAt(directory, place);
    return new Contenders(directory, place, store, await LineLog.open(directory, place), random);
  }

  /** @returns what is wrong, in one line each */
  async round({ processes, contendersPerProcess, tasks: count }: Contest): Promise<readonly string[]> {
    while (this.#children.length < processes) this.#children.push(this.#start());
    await Promise.all(this.#children.map(({ said }) => said(1)));
    const tasks = await Promise.all(Array.from({ length: count }, () => addTask(this.#store.tasks)));
    const work: Work = { tasks: tasks.map(({ id }) => id), contenders: contendersPerProcess };
    const from = this.#children.map(({ lines }) => lines.length);
    const all = [...this.#children];
    for (const child of all) child.process.stdin?.write(`${JSON.stringify(work)}\n`);
    await this.#disturb(all, from);
    await Promise.all(this.#children.map(stopWork));
    const told = all.flatMap(({ lines }, index) => lines.slice(from[index]).map((line) => JSON.parse(line) as Told));
    const faults: string[] = [];
    for (const task of tasks) faults.push(...(await this.#faultsOf(task, told)));
    for (const { process: child } of this.#children) {
      if (child.exitCode !== null) faults.push(`process ${child.pid} ended with ${child.exitCode}`);
    }
    return faults;
  }

  /** Verifies the registry as a whole. @returns what is wrong, in one line each */
  async verify(): Promise<readonly string[]> {
    const { broken, problems } = await this.#store.admin.verify();
    return [...problems, ...broken.map(({ stream, seq, fault }) => `${stream} ${seq}: ${fault}`)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process: child } of this.#children) child.kill('SIGKILL');
    await Promise.all(this.#children.map(({ ended }) => ended));
    await this.#line.close();
    await this.#store.close();
  }

  #start(): Child {
    const url = this.#place.engine === 'postgres' ? this.#place.url : '-';
    return startFile(script, [this.#directory, url]);
  }

  /** Lets them work, stops one and kills another in the middle of it, and wakes the stopped one when it is too late. */
  async #disturb(all: readonly Child[], from: readonly number[]): Promise<void> {
    const grants = () => all.reduce((sum, { lines }, index) => sum + grantsIn(lines.slice(from[index])), 0);
    const more = async (count: number, limitMs: number) => {
      const before = grants();
      await until(() => grants() >= before + count, limitMs).catch(() => undefined);
    };
    await until(() => grants() >= grantsBetween, 60_000);
    const stopped = this.#pick();
    stopped.process.kill('SIGSTOP');
    await more(grantsBetween, stoppedForMs);
    const killed = this.#pick();
    if (killed !== stopped) {
      this.#children = this.#children.filter((child) => child !== killed);
      killed.process.kill('SIGKILL');
      await killed.ended;
    }
    await more(2 * grantsBetween, stoppedForMs);
    stopped.process.kill('SIGCONT');
    await until(() => grants() >= 2 * grantsBetween, 60_000);
  }

  #pick(): Child {
    return this.#children[Math.floor(this.#random() * this.#children.length)] as Child;
  }

  async #faultsOf(task: Task, told: readonly Told[]): Promise<readonly string[]> {
    const records = await this.#store.ledger.read(task.id, { limit: 10_000 });
    const faults = [...historyFaults(records), ...(await this.#line.faults(task.id, records))];
    const { broken } = await this.#store.ledger.verify(task.id);
    if (broken !== null) faults.push(`record ${broken.seq}: ${broken.fault}`);
    faults.push(...(await this.#unkept(task, records, told)), ...(await this.#fileFaults(task, records)));
    return faults.map((fault) => `${task.id}: ${fault}`);
  }

  /** What a process was told is there, and what it was refused is not. */
  async #unkept(task: Task, records: readonly StoredRecord[], told: readonly Told[]): Promise<readonly string[]> {
    const notes = new Set<string>((await this.#store.tasks.listNotes(task.id)).map(({ id }) => id));
    const tokens = new Set(records.filter(({ type }) => type === 'lease.acquired').map(({ token }) => token));
    const faults: string[] = [];
    for (const each of told) {
      if (each.what === 'idle' || each.taskId !== task.id) continue;
      if (each.what === 'wrote' && !notes.has(each.noteId)) faults.push(`${each.noteId} is lost`);
      if (each.what === 'lost' && notes.has(each.noteId)) faults.push(`${each.noteId} landed after its lease was lost`);
      if (each.what === 'granted' && !tokens.has(each.token)) faults.push(`token ${each.token} is not recorded`);
    }
    const written = records.filter(({ type }) => type === 'note.added').length;
    if (written !== notes.size) faults.push(`${written} notes are recorded, ${notes.size} are there`);
    return faults;
  }

  async #fileFaults(task: Task, records: readonly StoredRecord[]): Promise<readonly string[]> {
    const { memory } = this.#store;
    await memory.project(task.id);
    await memory.heal(task.id);
    const { healed } = await memory.heal(task.id);
    const log = readFileSync(join(this.#directory, memory.directory(task.id), 'log.jsonl'), 'utf8');
    const faults = healed.length === 0 ? [] : [`files were healed twice: ${JSON.stringify(healed)}`];
    const whole = log === records.map((record) => `${JSON.stringify(record)}\n`).join('');
    return whole ? faults : [...faults, 'its log is not its ledger'];
  }
}

/** Asks a process to end its work, and waits until it says so once more. */
async function stopWork({ process: child, lines, said }: Child): Promise<void> {
  const before = idlesIn(lines);
  child.stdin?.write('stop\n');
  while (idlesIn(lines) === before && child.exitCode === null) await said(lines.length + 1);
}

function idlesIn(lines: readonly string[]): number {
  return lines.filter((line) => line === '{"what":"idle"}').length;
}

function grantsIn(lines: readonly string[]): number {
  return lines.filter((line) => line.startsWith('{"what":"granted"')).length;
}
