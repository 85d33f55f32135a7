import type { EgressRule, NetworkSpec } from '@opencode-tools/core';

export function rule(host: string, more: Partial<EgressRule> = {}): EgressRule {
  return { name: 'only', host, ports: [443], methods: [], pathPrefixes: [], ...more };
}

export function policy(...rules: readonly EgressRule[]): NetworkSpec {
  return { mode: 'policy', rules };
}
