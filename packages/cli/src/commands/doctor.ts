import { type DoctorFinding, type DoctorReport, exitCodeFor } from '@opencode-tools/core';
import type { Command } from '../command.ts';
import { lines, oneLine, safeText } from '../render/format.ts';
import { dbRebuild } from './db-rebuild.ts';
import type { Style } from '../render/style.ts';

export const doctor: Command<DoctorReport> = {
  name: 'doctor',
  summary: 'check home, registry, ledger, engine and images, and finish what died half-way',
  notes: [
    'Exit code 6 when no engine answers, 1 for another problem. Nothing of a task is removed without --reap.',
    'What goes with --reap carries proof: a deleted task, an operation that failed, an entry of the pool without a process.',
  ],
  parameters: [],
  options: [
    { name: 'rebuild', summary: 'make a registry that is lost again from the task files; same as db rebuild' },
    { name: 'reap', summary: 'remove containers, volumes and images that are provably finished' },
    { name: 'dry-run', summary: 'with --rebuild or --reap: only say what would be done' },
  ],
  redirect: (input) => (input.flag('rebuild') ? dbRebuild : undefined),
  run: ({ services, call, input }) =>
    services.doctor.run(call, { reap: input.flag('reap'), dryRun: input.flag('dry-run') }),
  exitCode({ healthy, engine }) {
    if (healthy) return 0;
    return engine.error === null ? 1 : exitCodeFor(engine.error.code);
  },
  render({ healthy, findings, recovered, orphans }, style) {
    return lines(
      ...findings.map((finding) => renderFinding(finding, style)),
      ...recovered.map(
        ({ kind, resolution, summary }) => `${style.warning(resolution)} ${kind}: ${oneLine(summary, 200)}`,
      ),
      ...orphans.map(({ name, state }) => `${style.warning('orphan')} ${oneLine(name, 100)} (${state})`),
      healthy ? style.good('healthy') : style.bad('not healthy'),
    );
  },
};

function renderFinding({ severity, subject, message, remedy }: DoctorFinding, style: Style): string {
  const paint = { ok: style.good, warning: style.warning, problem: style.bad }[severity];
  return lines(
    `${paint(severity.padEnd(7))} ${oneLine(subject)}: ${safeText(message)}`,
    remedy !== null && `        remedy: ${safeText(remedy)}`,
  );
}
