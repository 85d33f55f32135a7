import type { JsonObject } from '../domain/json.ts';
import type { LeaseProof } from '../domain/session.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { StreamId } from '../ledger/ledger-record.ts';
import type { HookContext, HookOutcome } from '../ports/hook-port.ts';
import { type Kernel, draft } from './kernel.ts';
import type { Call } from './services.ts';

/**
 * Runs the hooks of a point before a change. A veto is recorded and thrown.
 *
 * @param stream where a veto is recorded: the task's stream, or `home` while the task does not exist yet
 * @returns a member for the change's own record, so that what hooks did is part of it
 * @throws OpencodeToolsError `OCT_HOOK_REJECTED`
 */
export async function runHooks(
  kernel: Kernel,
  context: HookContext,
  at: { readonly stream: StreamId; readonly call: Call; readonly proof?: LeaseProof | null },
): Promise<JsonObject> {
  if (!kernel.deps.hooks.listens(context.point)) return {};
  const outcomes = await kernel.deps.hooks.run(context);
  const refused = outcomes.find((outcome) => outcome.result !== 'passed');
  if (refused === undefined) return outcomes.length === 0 ? {} : { hooks: outcomes.map(hookJson) };
  await kernel.commit({
    records: [
      draft({
        stream: at.stream,
        type: 'hook.rejected',
        call: at.call,
        proof: at.proof ?? null,
        detail: { taskId: context.task.id, ...hookJson(refused) },
      }),
    ],
  });
  throw new OpencodeToolsError(
    'OCT_HOOK_REJECTED',
    `Hook ${refused.hook} refused ${context.point}: ${refused.message}`,
    {
      details: { hook: refused.hook, point: refused.point },
    },
  );
}

function hookJson(outcome: HookOutcome): JsonObject {
  const { hook, point, result, message, durationMs } = outcome;
  return { hook, point, result, message, durationMs: Math.round(durationMs) };
}
