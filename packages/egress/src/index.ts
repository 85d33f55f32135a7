export { createEgressGateway } from './create-egress-gateway.ts';
export type { EgressGatewayOptions } from './create-egress-gateway.ts';
export { decide } from './decide.ts';
export { validatePolicy } from './validate-policy.ts';
