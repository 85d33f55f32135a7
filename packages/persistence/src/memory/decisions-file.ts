import type { Decision } from '@opencode-tools/core';

/**
 * Writes the decisions of a task for people: one heading each, with why, what else was weighed, and the evidence.
 *
 * @param options.links whether the evidence lies beside the file, to be linked; default true
 */
export function renderDecisions(
  title: string,
  decisions: readonly Decision[],
  { links = true }: { readonly links?: boolean } = {},
): string {
  return `# Decisions: ${oneLine(title)}\n${decisions.map((decision) => renderDecision(decision, links)).join('')}`;
}

function renderDecision(decision: Decision, links: boolean): string {
  const { id, agent, createdAt, what, why, alternatives, executionIds, checkpointIds } = decision;
  const parts = [`\n## ${oneLine(what)}\n`, `${createdAt} · ${oneLine(agent)} · \`${id}\`\n`];
  if (why !== '') parts.push(`${why.trim()}\n`);
  if (alternatives.length > 0)
    parts.push(`Alternatives:\n\n${alternatives.map((text) => `- ${oneLine(text)}\n`).join('')}`);
  const show = (text: string, target: string): string => (links ? `[${text}](${target})` : text);
  const evidence = [
    ...executionIds.map((execution) => show(`execution ${execution}`, `executions/${execution}/`)),
    ...checkpointIds.map((checkpoint) => show(`checkpoint ${checkpoint}`, `checkpoints/${checkpoint}/manifest.json`)),
  ];
  if (evidence.length > 0) parts.push(`Evidence: ${evidence.join(', ')}\n`);
  return parts.join('\n');
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
