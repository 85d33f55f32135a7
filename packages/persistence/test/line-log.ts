import { join } from 'node:path';
import type { RecordPayload, StoredRecord, TaskId } from '@opencode-tools/core';
import Database from 'better-sqlite3';
import { Client } from 'pg';
import type { RegistryPlace } from '../src/index.ts';

interface Entry {
  readonly session_id: string;
  /** The largest token of the task when the session left the line, or was passed over. */
  readonly left_at: number | null;
}

const select = 'select session_id, left_at from line_log where task_id =';
const left = `update line_log set left_at = coalesce((select max(token) from leases where task_id = old.task_id), 0)
  where session_id = old.session_id and left_at is null`;

/** Remembers how sessions came to stand in line and left it, which the registry forgets: written by triggers beside it. */
export class LineLog {
  readonly #entries: (taskId: TaskId) => Promise<readonly Entry[]>;
  readonly close: () => Promise<void>;

  private constructor(entries: (taskId: TaskId) => Promise<readonly Entry[]>, close: () => Promise<void>) {
    this.#entries = entries;
    this.close = close;
  }

  static async open(directory: string, place: RegistryPlace): Promise<LineLog> {
    return place.engine === 'sqlite' ? openOnSqlite(directory) : openOnPostgres(place.url);
  }

  /**
   * Finds leases that were granted to somebody who stood behind another in line. Who was passed over, being stopped, has
   * come again: the last place counts, and none of those it lost before others were let in.
   */
  async faults(taskId: TaskId, records: readonly StoredRecord[]): Promise<readonly string[]> {
    const places = new Map(
      (await this.#entries(taskId)).map((entry, index) => [entry.session_id, { ...entry, index }]),
    );
    const faults: string[] = [];
    let last = -1;
    let before = 0;
    for (const { type, token, payload } of records) {
      if (type !== 'lease.acquired' || payload === null) continue;
      const [put] = (JSON.parse(payload) as RecordPayload).puts;
      const place = put?.noun === 'lease' ? places.get(put.value.sessionId) : undefined;
      const kept = place !== undefined && Number(place.left_at) === before;
      before = Number(token);
      if (!kept) continue;
      const { index } = place;
      if (index < last) faults.push(`token ${token} went to place ${index} of the line after place ${last}`);
      last = Math.max(last, index);
    }
    return faults;
  }

  static of(entries: (taskId: TaskId) => Promise<readonly Entry[]>, close: () => Promise<void>): LineLog {
    return new LineLog(entries, close);
  }
}

function openOnSqlite(directory: string): LineLog {
  const database = new Database(join(directory, 'registry.db'), { timeout: 10_000 });
  database.exec(`
    create table line_log (id integer primary key autoincrement, task_id text not null, session_id text not null, left_at bigint);
    create index line_log_task on line_log (task_id);
    create trigger line_log_entered after insert on lease_waiters begin
      insert into line_log (task_id, session_id) values (new.task_id, new.session_id);
    end;
    create trigger line_log_left after delete on lease_waiters begin
      ${left};
    end`);
  const read = database.prepare<[string], Entry>(`${select} ? order by id`);
  return LineLog.of(
    async (taskId) => read.all(taskId),
    async () => void database.close(),
  );
}

async function openOnPostgres(url: string): Promise<LineLog> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`
    create table line_log (id bigserial primary key, task_id text not null, session_id text not null, left_at bigint);
    create index line_log_task on line_log (task_id);
    create function line_log_entered() returns trigger language plpgsql as $$ begin
      insert into line_log (task_id, session_id) values (new.task_id, new.session_id);
      return new;
    end $$;
    create trigger line_log_entered after insert on lease_waiters for each row execute function line_log_entered();
    create function line_log_left() returns trigger language plpgsql as $$ begin
      ${left};
      return old;
    end $$;
    create trigger line_log_left after delete on lease_waiters for each row execute function line_log_left()`);
  return LineLog.of(
    async (taskId) => (await client.query<Entry>(`${select} $1 order by id`, [taskId])).rows,
    () => client.end(),
  );
}
