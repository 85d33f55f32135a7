import type { StoreVerification } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import { type Plan, allRows } from '../query/plan.ts';
import { verifyChains } from '../stores/verify-chains.ts';
import type { StoreContext } from '../write/context.ts';
import { raw } from './raw.ts';

/** Checks a registry as a whole: the file's structure, every chain, the counters, and rows that must have a stream. */
export async function verifyRegistry({ engine }: Pick<StoreContext, 'engine'>): Promise<StoreVerification> {
  const problems = [...(await structureProblems(engine)), ...(await engine.snapshot(rowProblems))];
  const { chains, records, broken } = await verifyChains(engine);
  return { ok: broken.length === 0 && problems.length === 0, chains, records, broken, problems };
}

/** What the database itself finds wrong with its file. */
export async function structureProblems(engine: Engine): Promise<readonly string[]> {
  if (engine.traits.engine !== 'sqlite') return [];
  const { integrityProblems } = await import('./sqlite-file.ts');
  return integrityProblems(engine.location);
}

function* rowProblems(): Plan<readonly string[]> {
  const problems: string[] = [];
  const miscounted = yield* allRows(
    raw<{ status: string; counted: number; found: number }>(
      `select s.status, coalesce(c.tasks, 0) as counted, coalesce(t.tasks, 0) as found
       from (select status from task_counts union select status from tasks) s
       left join (select status, sum(tasks) as tasks from task_counts group by status) c on c.status = s.status
       left join (select status, count(*) as tasks from tasks group by status) t on t.status = s.status
       where coalesce(c.tasks, 0) <> coalesce(t.tasks, 0)`,
    ),
  );
  for (const { status, counted, found } of miscounted) {
    problems.push(`${counted} tasks are counted as ${status}, but ${found} are`);
  }
  const orphans = yield* allRows(
    raw<{ id: string }>(
      'select id from tasks where not exists (select 1 from streams where streams.stream = tasks.id) limit 10',
    ),
  );
  for (const { id } of orphans) problems.push(`task ${id} has no ledger`);
  const backward = yield* allRows(
    raw<{ task_id: string }>(
      `select l.task_id from leases l join streams s on s.stream = l.task_id
       where l.token > s.last_token group by l.task_id limit 10`,
    ),
  );
  for (const { task_id: id } of backward) problems.push(`task ${id} has given out a token above its counter`);
  return problems;
}
