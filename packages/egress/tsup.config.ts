import { gateway, library } from '../../tsup.base.ts';

export default [{ ...library(), clean: false }, gateway()];
