import type { WorkspaceSpec } from './workspace-spec.ts';

/** What whoever creates a task should know of its workspace, a sentence each: what of the source did not come along. */
export function workspaceNotices(workspace: WorkspaceSpec): readonly string[] {
  if (workspace.mode !== 'volume' || workspace.source.kind !== 'git' || workspace.source.shallow !== true) return [];
  return [
    'The repository is a shallow clone: the workspace has its history only as far as it goes (`git fetch --unshallow` there, then create the task).',
  ];
}
