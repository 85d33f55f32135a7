export { containerSafetyEnforcer } from './built-in/container-safety-enforcer.ts';
export { inspectPlan } from './built-in/inspect-plan.ts';
export type { PlanFault, PlanRules } from './built-in/inspect-plan.ts';
export { planFileCreator } from './built-in/plan-file-creator.ts';
export { preTaskBranchCreator } from './built-in/pre-task-branch-creator.ts';
export { createHooks } from './create-hooks.ts';
export type { HooksOptions } from './create-hooks.ts';
export { HookRejection, isHookRejection } from './hook-rejection.ts';
export type { Hook, HookApi } from './hook.ts';
