/**
 * `import { openDecider } from 'reeve/decide'`: decisions in the process of who enforces them, by the policies and facts of a Reeve that is
 * followed. See docs/authzen.md.
 */
export { openDecider, type Decider, type DeciderOptions, type DeciderState } from './policy/policy.ts'
