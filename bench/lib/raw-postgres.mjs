import { createHash } from 'node:crypto';
import { Pool } from 'pg';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The registry's rows written by hand through a pool of the driver, with named statements and one round trip each. */
export async function openRawPostgres(url, max) {
  const pool = new Pool({ connectionString: url, max });
  pool.on('error', () => undefined);
  const transaction = async (work) => {
    const client = await pool.connect();
    try {
      await client.query('begin');
      await work((name, text, values) => client.query({ name, text, values }));
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  };
  const lockHead = async (query, stream) => {
    const { rows } = await query(
      'head',
      'select head_seq, head_hash, last_token from streams where stream = $1 for update',
      [stream],
    );
    const [{ head_seq: seq, head_hash: hash, last_token: token }] = rows;
    return { stream, seq: Number(seq), hash, token: Number(token) };
  };
  const record = async (query, head, type, payload, token) => {
    const { stream, hash: prev } = head;
    head.seq += 1;
    const digest = sha256(payload);
    const at = new Date().toISOString();
    head.hash = sha256(JSON.stringify({ stream, seq: head.seq, type, at, token, digest, prev }));
    await query(
      'record',
      `insert into ledger (stream, seq, v, type, at, actor, home_id, token, payload_digest, prev_hash, hash, payload)
       values ($1, $2, 1, $3, $4, '{}', 'hom_0', $5, $6, $7, $8, $9)`,
      [stream, head.seq, type, at, token, digest, prev, head.hash, payload],
    );
  };
  const setHead = async (query, { stream, seq, hash, token }) =>
    query('set_head', 'update streams set head_seq = $1, head_hash = $2, last_token = $3 where stream = $4', [
      seq,
      hash,
      token,
      stream,
    ]);
  const append = async (query, stream, type, payload, token) => {
    const head = await lockHead(query, stream);
    await record(query, head, type, payload, token);
    await setHead(query, head);
  };
  return {
    /** Reads a task, writes its next version with a record. */
    compareAndSet: ({ id }) =>
      transaction(async (query) => {
        const { rows } = await query('task', 'select version, entity from tasks where id = $1 for update', [id]);
        const task = { ...JSON.parse(rows[0].entity), version: Number(rows[0].version) + 1 };
        const entity = JSON.stringify(task);
        await query('set_task', 'update tasks set version = $1, entity = $2 where id = $3', [task.version, entity, id]);
        await append(query, id, 'task.changed', `{"detail":{},"puts":[{"noun":"task","value":${entity}}]}`, null);
      }),
    guardedNote: (note, lease) =>
      transaction(async (query) => {
        const { rows } = await query('held', 'select token, state from leases where id = $1 for share', [lease.id]);
        if (rows[0]?.state !== 'held') throw new Error('lease lost');
        const entity = JSON.stringify(note);
        await query('note', 'insert into notes values ($1, $2, $3, 1, $4)', [
          note.id,
          note.taskId,
          note.createdAt,
          entity,
        ]);
        await query('search', 'insert into search_documents (entity_id, task_id, body) values ($1, $2, $3)', [
          note.id,
          note.taskId,
          note.text.toLowerCase(),
        ]);
        const payload = `{"detail":{},"puts":[{"noun":"note","value":${entity}}]}`;
        await append(query, note.taskId, 'note.added', payload, lease.token);
      }),
    /** Takes a task that nobody has: a lease and a session, with a record of each. */
    claim: (session) =>
      transaction(async (query) => {
        const { id, leaseId, taskId, agent, attachedAt } = session;
        const head = await lockHead(query, taskId);
        const token = (head.token += 1);
        const active = `select 1 from leases where task_id = $1 and state in ('pending', 'held')`;
        const { rows } = await query('active', active, [taskId]);
        if (rows.length > 0) throw new Error('held');
        const now = Date.now();
        await query(
          'lease',
          `insert into leases (id, task_id, session_id, mode, token, state, ttl_ms, acquired_at_ms, renewed_at_ms,
             expires_at_ms) values ($1, $2, $3, 'exclusive', $4, 'held', 60000, $5, $5, $6)`,
          [leaseId, taskId, id, token, now, now + 60_000],
        );
        const entity = JSON.stringify(session);
        await query('session', `insert into sessions values ($1, $2, $3, $4, 'attached', $5, $6)`, [
          id,
          taskId,
          leaseId,
          agent,
          attachedAt,
          entity,
        ]);
        await record(query, head, 'lease.acquired', `{"detail":{},"puts":[{"noun":"lease"}]}`, token);
        await record(query, head, 'session.attached', `{"detail":{},"puts":[{"value":${entity}}]}`, token);
        await setHead(query, head);
      }),
    /** Not timed: ends every lease but one. */
    releaseAll: (but) =>
      pool.query(`update leases set state = 'released' where state in ('pending', 'held') and id <> $1`, [but]),
    close: () => pool.end(),
  };
}
