import { homedir } from 'node:os';
import type { Clock, GitPort, HookPort, Logger } from '@opencode-tools/core';
import {
  type Hook,
  containerSafetyEnforcer,
  createHooks,
  planFileCreator,
  preTaskBranchCreator,
} from '@opencode-tools/hooks';
import type { Environment } from '../configuration/environment.ts';
import type { Configuration } from '../configuration/load-configuration.ts';

/** Registers the built-in hooks that the configuration turns on. No sandbox may see the home, whatever hooks are on. */
export function wireHooks(options: {
  readonly configuration: Configuration;
  readonly environment: Environment;
  readonly git: GitPort;
  readonly clock: Clock;
  readonly logger: Logger;
}): HookPort {
  const { configuration, environment, git, clock, logger } = options;
  const { branchCreator, planFile, safetyEnforcer } = configuration.hooks;
  const rules = {
    requireLimits: configuration.requireLimits,
    protectedPaths: [configuration.home],
    userHomes: [environment['HOME'] || homedir()],
  };
  const hooks: readonly Hook[] = [
    ...(branchCreator ? [preTaskBranchCreator()] : []),
    ...(planFile ? [planFileCreator()] : []),
    ...(safetyEnforcer ? [containerSafetyEnforcer(rules)] : []),
  ];
  return createHooks({ hooks, git, clock, logger });
}
