import { randomUUID } from 'node:crypto';
import type { Client, Pool } from 'pg';
import { type Hints, sleepUntil } from '../query/hints.ts';

const channel = 'opencode_tools';
/** A hint need not be on disk before it is heard. */
const notify = `select set_config('synchronous_commit', 'off', true), pg_notify('${channel}', $1)`;
const gapMs = 5;
const longestPayload = 7_000;
const retryMs = 1_000;

/**
 * NOTIFY and LISTEN as hints. Sent after commits on a connection of the pool, so that no transaction waits for the
 * server's queue of notifications, and many commits share one.
 */
export class Notifications {
  readonly #pool: Pool;
  readonly #hints: Hints;
  readonly #connect: () => Client;
  readonly #sender = randomUUID().slice(0, 8);
  readonly #due = new Set<string>();
  #sending: Promise<void> | null = null;
  #listens = false;
  #listener: Client | null = null;
  #closed = false;
  #hurry: () => void = () => undefined;

  /** @param connect makes a client that is not connected yet */
  constructor(pool: Pool, hints: Hints, connect: () => Client) {
    this.#pool = pool;
    this.#hints = hints;
    this.#connect = connect;
  }

  /** @param urgent topics that are not kept back to share a notification */
  publish(topics: readonly string[], urgent: readonly string[]): void {
    if (this.#closed) return;
    for (const topic of [...topics, ...urgent]) this.#due.add(topic);
    if (urgent.length > 0) this.#hurry();
    this.#sending ??= this.#send();
  }

  /** Begins to listen, once; goes on by itself after a lost connection. */
  listen(): void {
    if (this.#listens) return;
    this.#listens = true;
    void this.#listen();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#sending;
    await this.#listener?.end().catch(() => undefined);
  }

  async #send(): Promise<void> {
    while (this.#due.size > 0) {
      const topics = [...this.#due].join(' ');
      this.#due.clear();
      const payload = `${this.#sender} ${topics.length > longestPayload ? '*' : topics}`;
      // A hint that is lost costs a waiter its patience, nothing else.
      await this.#pool.query({ name: 'oct_notify', text: notify, values: [payload] }).catch(() => undefined);
      if (!this.#closed) await this.#gap();
    }
    this.#sending = null;
  }

  async #gap(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hurry = resolve;
    await sleepUntil(promise, gapMs);
    this.#hurry = () => undefined;
  }

  async #listen(): Promise<void> {
    if (this.#closed) return;
    const client = this.#connect();
    const again = () => {
      if (this.#listener !== client) return;
      this.#listener = null;
      client.end().catch(() => undefined);
      if (!this.#closed) setTimeout(() => void this.#listen(), retryMs).unref();
    };
    this.#listener = client;
    client.on('error', again);
    client.on('end', again);
    client.on('notification', ({ payload }) => this.#heard(payload ?? ''));
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      // What was said while nobody listened.
      this.#hints.wake(null);
    } catch {
      again();
    }
  }

  #heard(payload: string): void {
    const [sender, ...topics] = payload.split(' ');
    if (sender === this.#sender) return;
    this.#hints.wake(topics.includes('*') ? null : topics);
  }
}
