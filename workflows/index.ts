/** The workflows that the workers bundle. Exported names are workflow types: wire format. */
export { audioRebase, audioRetention, audioSync, audioVerify } from './audio';
