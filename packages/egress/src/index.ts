export { createEgressGateway } from './create-egress-gateway.ts';
export type { EgressGatewayOptions } from './create-egress-gateway.ts';
export { decide } from './decide.ts';
export { policyNamed, presetNames } from './presets.ts';
export type { NamedPolicies } from './presets.ts';
export { validatePolicy } from './validate-policy.ts';
