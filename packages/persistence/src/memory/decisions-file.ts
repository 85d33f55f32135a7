import type { Decision } from '@opencode-tools/core';

/** Writes the decisions of a task for people: one heading each, with why, what else was weighed, and the evidence. */
export function renderDecisions(title: string, decisions: readonly Decision[]): string {
  return `# Decisions: ${oneLine(title)}\n${decisions.map(renderDecision).join('')}`;
}

function renderDecision(decision: Decision): string {
  const { id, agent, createdAt, what, why, alternatives, executionIds, checkpointIds } = decision;
  const parts = [`\n## ${oneLine(what)}\n`, `${createdAt} · ${oneLine(agent)} · \`${id}\`\n`];
  if (why !== '') parts.push(`${why.trim()}\n`);
  if (alternatives.length > 0)
    parts.push(`Alternatives:\n\n${alternatives.map((text) => `- ${oneLine(text)}\n`).join('')}`);
  const evidence = [
    ...executionIds.map((execution) => `[execution ${execution}](executions/${execution}/)`),
    ...checkpointIds.map((checkpoint) => `[checkpoint ${checkpoint}](checkpoints/${checkpoint}/manifest.json)`),
  ];
  if (evidence.length > 0) parts.push(`Evidence: ${evidence.join(', ')}\n`);
  return parts.join('\n');
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
