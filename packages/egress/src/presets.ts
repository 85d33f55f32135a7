import { type EgressRule, type NetworkSpec, OpencodeToolsError } from '@opencode-tools/core';

/** Policies that need no configuration: what common package managers and git hosts ask for, HTTPS unless a tool insists on HTTP. */
const presets: Readonly<Record<string, readonly (readonly [host: string, ...ports: number[]])[]>> = {
  npm: [['registry.npmjs.org'], ['registry.yarnpkg.com']],
  pip: [['pypi.org'], ['files.pythonhosted.org']],
  github: [['github.com'], ['*.github.com'], ['*.githubusercontent.com']],
  gitlab: [['gitlab.com']],
  bitbucket: [['bitbucket.org']],
  debian: [
    ['deb.debian.org', 80, 443],
    ['security.debian.org', 80, 443],
  ],
  crates: [['crates.io'], ['index.crates.io'], ['static.crates.io']],
  go: [['proxy.golang.org'], ['sum.golang.org']],
};

/** Names of the policies that are built in. */
export const presetNames: readonly string[] = Object.keys(presets);

/** Policies of the configuration by name. */
export type NamedPolicies = Readonly<Record<string, readonly EgressRule[]>>;

/**
 * Joins policies, of the configuration or built in, into one. A rule that two of them have in the same words is taken once.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the policies there are
 */
export function policyNamed(names: readonly string[], configured: NamedPolicies): NetworkSpec {
  const rules = new Map<string, EgressRule>();
  for (const name of names) {
    const own = Object.hasOwn(configured, name) ? configured[name] : undefined;
    for (const rule of own ?? presetRules(name, configured)) {
      const known = rules.get(rule.name);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(rule)) {
        rules.set(`${name}.${rule.name}`, { ...rule, name: `${name}.${rule.name}` });
      } else rules.set(rule.name, rule);
    }
  }
  return { mode: 'policy', rules: [...rules.values()] };
}

function presetRules(name: string, configured: NamedPolicies): readonly EgressRule[] {
  const hosts = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (hosts === undefined) {
    const known = [...Object.keys(configured), ...presetNames].sort().join(', ');
    throw new OpencodeToolsError(
      'OCT_INVALID_ARGUMENT',
      `No egress policy is called ${JSON.stringify(name.slice(0, 80))}`,
      {
        remedy: `Name one of: ${known}; more can be defined by the key policies of the configuration.`,
        details: { argument: 'egress' },
      },
    );
  }
  return hosts.map(([host, ...ports]) => ({
    name: `${name}-${host.replace('*.', 'any.')}`.slice(0, 64),
    host,
    ports: ports.length === 0 ? [443] : ports,
    methods: [],
    pathPrefixes: [],
  }));
}
