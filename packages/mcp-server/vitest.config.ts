import { packageTests } from '../../vitest.base.ts';

export default packageTests('mcp-server', { isolate: false });
