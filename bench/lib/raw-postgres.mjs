import { createHash } from 'node:crypto';
import { Pool } from 'pg';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** The registry's rows written by hand through a pool of the driver, with named statements and one round trip each. */
export async function openRawPostgres(url, max) {
  const pool = new Pool({ connectionString: url, max });
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
  const append = async (query, stream, type, payload, token) => {
    const { rows } = await query('head', 'select head_seq, head_hash from streams where stream = $1 for update', [
      stream,
    ]);
    const seq = Number(rows[0].head_seq) + 1;
    const digest = sha256(payload);
    const at = new Date().toISOString();
    const hash = sha256(JSON.stringify({ stream, seq, type, at, token, digest, prev: rows[0].head_hash }));
    await query(
      'record',
      `insert into ledger (stream, seq, v, type, at, actor, home_id, token, payload_digest, prev_hash, hash, payload)
       values ($1, $2, 1, $3, $4, '{}', 'hom_0', $5, $6, $7, $8, $9)`,
      [stream, seq, type, at, token, digest, rows[0].head_hash, hash, payload],
    );
    await query('set_head', 'update streams set head_seq = $1, head_hash = $2 where stream = $3', [seq, hash, stream]);
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
        const { rows } = await query('lease', 'select token, state from leases where id = $1 for share', [lease.id]);
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
    close: () => pool.end(),
  };
}
