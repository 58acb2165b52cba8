/** Entities are plain values that lower folders build too, so they live in the kernel. */
export { distinctEntities, linkTo, linked, type Entity, type PolicyValue } from '../kernel/entity.ts'
