import { workspaceStoreContract } from '@opencode-tools/testkit';
import { openStore } from './open-store.ts';

workspaceStoreContract('The content store', openStore);
