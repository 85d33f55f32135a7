import { createHash } from 'node:crypto';
import Database from 'better-sqlite3';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/**
 * The registry's rows written and read by hand: prepared statements of the driver, JSON.stringify and one digest per text,
 * nothing checked that is not asked for. The peer of every SQLite figure.
 */
export function openRaw(file, { busyTimeoutMs = 0 } = {}) {
  const db = new Database(file, { timeout: busyTimeoutMs });
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  const sql = statements(db);
  const append = (stream, type, payload, token) => {
    const head = sql.head.get(stream) ?? { head_seq: 0, head_hash: '0'.repeat(64) };
    const digest = sha256(payload);
    const at = new Date().toISOString();
    const actor = '{"agent":"build","id":"build","kind":"agent","model":null,"onBehalfOf":null,"session":null}';
    const record = { stream, seq: head.head_seq + 1, type, at, actor, token, digest, prev: head.head_hash };
    const hash = sha256(JSON.stringify(record));
    sql.record.run(stream, record.seq, type, at, actor, token, digest, head.head_hash, hash, payload);
    sql.setHead.run(record.seq, hash, stream);
  };
  return {
    db,
    /** Inserts a task with its ledger record, search document and counter: the rows that ours leaves behind. */
    insertTask: db.transaction((task) => {
      const entity = JSON.stringify(task);
      sql.stream.run(task.id, task.homeId);
      sql.task.run(task.id, task.id.slice(-8), task.title, task.createdAt, task.updatedAt, task.homeId, entity);
      sql.search.run(task.id, task.id, `${task.title} ${task.description}`.toLowerCase());
      sql.count.run();
      append(task.id, 'task.created', `{"detail":{},"puts":[{"noun":"task","value":${entity}}]}`, null);
    }).immediate,
    /** Adds a note under a lease that is compared in the same transaction. */
    guardedNote: db.transaction((note, lease) => {
      const held = sql.lease.get(lease.id);
      if (held?.state !== 'held' || held.token !== lease.token) throw new Error('lease lost');
      const entity = JSON.stringify(note);
      sql.note.run(note.id, note.taskId, note.createdAt, entity);
      sql.search.run(note.id, note.taskId, note.text.toLowerCase());
      append(note.taskId, 'note.added', `{"detail":{},"puts":[{"noun":"note","value":${entity}}]}`, lease.token);
    }).immediate,
    /** Grants a lease on a task that nobody holds: its row, its session's and a record of each. */
    acquire: db.transaction((session) => {
      if (sql.activeLeases.all(session.taskId).length > 0) throw new Error('lease held');
      const { last_token: last } = sql.lastToken.get(session.taskId);
      const now = Date.now();
      const lease = {
        id: session.leaseId,
        taskId: session.taskId,
        sessionId: session.id,
        token: last + 1,
        state: 'held',
      };
      sql.addLease.run(lease.id, lease.taskId, lease.sessionId, lease.token, now, now, now + 30_000);
      sql.addSession.run(
        session.id,
        session.taskId,
        session.leaseId,
        session.agent,
        session.attachedAt,
        JSON.stringify(session),
      );
      append(lease.taskId, 'lease.acquired', putOf('lease', lease), lease.token);
      append(lease.taskId, 'session.attached', putOf('session', session), lease.token);
      sql.setToken.run(lease.token, lease.taskId);
      return lease;
    }).immediate,
    release: db.transaction((lease, session) => {
      const held = sql.lease.get(lease.id);
      if (held?.state !== 'held' || held.token !== lease.token) throw new Error('lease lost');
      const ended = { ...session, state: 'detached' };
      sql.endLease.run(Date.now(), lease.id);
      sql.endSession.run(JSON.stringify(ended), session.id);
      append(lease.taskId, 'lease.released', putOf('lease', { ...lease, state: 'released' }), lease.token);
      append(lease.taskId, 'session.ended', putOf('session', ended), lease.token);
    }).immediate,
    readTask: (id) => JSON.parse(sql.readTask.get(id).entity),
    page: (status) => sql.page.all(status).map((row) => JSON.parse(row.entity)),
    /** One commit of one small row. */
    tick: (id) => sql.tick.run(id),
    close: () => db.close(),
  };
}

const putOf = (noun, value) => JSON.stringify({ detail: {}, puts: [{ noun, value }] });

function statements(db) {
  return {
    stream: db.prepare(
      `insert into streams values (?, ?, 0, '${'0'.repeat(64)}', 0, '${'0'.repeat(64)}', 0, 0) on conflict do nothing`,
    ),
    task: db.prepare(
      `insert into tasks (id, short_id, title, status, created_at, updated_at, home_id, version, entity)
       values (?, ?, ?, 'pending', ?, ?, ?, 1, ?)`,
    ),
    search: db.prepare('insert into search_documents (entity_id, task_id, body) values (?, ?, ?)'),
    count: db.prepare(
      `insert into task_counts values ('pending', 0, 1) on conflict (status, shard) do update set tasks = tasks + 1`,
    ),
    head: db.prepare('select head_seq, head_hash from streams where stream = ?'),
    record: db.prepare(
      `insert into ledger (stream, seq, v, type, at, actor, home_id, token, payload_digest, prev_hash, hash, payload)
       values (?, ?, 1, ?, ?, ?, 'hom_0', ?, ?, ?, ?, ?)`,
    ),
    setHead: db.prepare('update streams set head_seq = ?, head_hash = ? where stream = ?'),
    lease: db.prepare('select token, state from leases where id = ?'),
    note: db.prepare('insert into notes (id, task_id, created_at, version, entity) values (?, ?, ?, 1, ?)'),
    activeLeases: db.prepare(`select id from leases where task_id = ? and state in ('pending', 'held') order by token`),
    lastToken: db.prepare('select last_token from streams where stream = ?'),
    setToken: db.prepare('update streams set last_token = ? where stream = ?'),
    addLease: db.prepare(`insert into leases values (?, ?, ?, 'exclusive', ?, 'held', 30000, ?, ?, ?, null)`),
    addSession: db.prepare(`insert into sessions values (?, ?, ?, ?, 'attached', ?, ?)`),
    endLease: db.prepare(`update leases set state = 'released', ended_at_ms = ? where id = ?`),
    endSession: db.prepare(`update sessions set state = 'detached', entity = ? where id = ?`),
    readTask: db.prepare('select entity from tasks where id = ?'),
    page: db.prepare('select entity from tasks where status = ? order by created_at desc, id desc limit 51'),
    tick: db.prepare(
      `insert into idempotency values (?, 'tick', '', null, null, 0)
       on conflict (key) do update set expires_at_ms = expires_at_ms + 1`,
    ),
  };
}
