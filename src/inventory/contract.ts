import { z } from 'zod'
import { Id, Slug } from '../kernel/ids.ts'
import { operation, type Operation } from '../kernel/operation.ts'
import { conflict, invalidInput, nameTaken, notFound } from '../kernel/problem.ts'
import { resolutionOperations } from './resolution/contract.ts'
import {
  Delivered,
  Delivery,
  ExportQuery,
  InventoryCoverage,
  InventoryDetail,
  InventoryPage,
  InventoryQuery,
  KindParams,
  RegisterSource,
  Source,
  SourceDetail,
  SourcePage,
  SourceProbe,
  SourceQuery,
  SourceReading,
  sourceUnreachable,
  unknownConnector,
  UpdateSource,
} from './schemas.ts'

export * from './resolution/contract.ts'
export * from './schemas.ts'

const oneSource = z.object({ source: Slug.describe('name or id') })

export const registerSource = operation({
  id: 'source.register',
  method: 'POST',
  path: '/v1/sources',
  summary: 'Registers a system for a connector to read.',
  function: 'nhi',
  resource: 'Installation',
  input: RegisterSource,
  output: Source,
  status: 201,
  problems: [nameTaken, invalidInput, notFound, unknownConnector],
})
export const listSources = operation({
  id: 'source.list',
  method: 'GET',
  path: '/v1/sources',
  summary: 'Lists the systems that connectors read, with what of them could not be seen.',
  function: 'nhi',
  resource: 'Installation',
  query: SourceQuery,
  output: SourcePage,
})
export const readSource = operation({
  id: 'source.read',
  method: 'GET',
  path: '/v1/sources/:source',
  summary: 'Reads one source: each of its scopes with what could not be seen, and its last readings.',
  function: 'nhi',
  resource: 'Source',
  params: oneSource,
  output: SourceDetail,
  problems: [notFound],
})
export const probeSource = operation({
  id: 'source.probe',
  method: 'POST',
  path: '/v1/sources/:source/probe',
  summary: 'Asks a source what its login may see, and what it would take to see the rest.',
  function: 'nhi',
  resource: 'Source',
  params: oneSource,
  output: SourceProbe,
  problems: [notFound, conflict, sourceUnreachable],
})
export const collectSource = operation({
  id: 'source.collect',
  method: 'POST',
  path: '/v1/sources/:source/collect',
  summary: 'Reads a source now.',
  function: 'nhi',
  resource: 'Source',
  params: oneSource,
  output: SourceReading,
  problems: [notFound, conflict],
})
export const deliverToSource = operation({
  id: 'source.deliver',
  method: 'POST',
  path: '/v1/sources/:source/deliveries',
  summary: 'Takes what a source posts by itself. Only the identity that its settings name may.',
  function: 'nhi',
  resource: 'Source',
  params: oneSource,
  // The API server adds to each post how long it waits for the answer.
  query: z.object({ timeout: z.string().max(40).optional() }),
  input: Delivery,
  // Whoever is watched chooses some of them, such as the path that a request asks for.
  texts: 'any',
  output: Delivered,
  problems: [notFound, conflict, invalidInput],
})
export const updateSource = operation({
  id: 'source.update',
  method: 'PATCH',
  path: '/v1/sources/:source',
  summary: 'Changes where a source is, what it is read with, or how often. Another place needs the login again.',
  function: 'nhi',
  resource: 'Source',
  params: oneSource,
  input: UpdateSource,
  output: Source,
  problems: [notFound, conflict, invalidInput, unknownConnector],
})
export const retireSource = operation({
  id: 'source.retire',
  method: 'POST',
  path: '/v1/sources/:source/retire',
  summary: 'Ends a source: it is not read any more, and its login is forgotten.',
  function: 'nhi',
  resource: 'Source',
  params: oneSource,
  output: Source,
  problems: [notFound, conflict],
})
export const listInventory = operation({
  id: 'inventory.list',
  method: 'GET',
  path: '/v1/inventory/:kind',
  summary: 'Lists what sources told of one kind, with what could not be seen.',
  function: 'nhi',
  resource: 'Installation',
  params: KindParams,
  query: InventoryQuery,
  output: InventoryPage,
  problems: [notFound],
})
export const readInventory = operation({
  id: 'inventory.read',
  method: 'GET',
  path: '/v1/inventory/:kind/:id',
  summary: 'Reads one thing that a source told, with its uses and when use would have been seen.',
  function: 'nhi',
  resource: 'Installation',
  params: KindParams.extend({ id: Id }),
  output: InventoryDetail,
  problems: [notFound],
})
export const readCoverage = operation({
  id: 'inventory.coverage',
  method: 'GET',
  path: '/v1/coverage',
  summary:
    'Says how much of the four kinds of identities is temporary, justified and observable, and what is not seen.',
  function: 'nhi',
  resource: 'Installation',
  output: InventoryCoverage,
})
export const exportInventory = operation({
  id: 'inventory.export',
  method: 'GET',
  path: '/v1/inventory-exports/:kind',
  summary: 'Gives all of one kind as CSV or JSON lines, after a statement of what could not be seen.',
  function: 'nhi',
  resource: 'Installation',
  params: KindParams,
  query: ExportQuery,
  output: z.string(),
  answer: 'bytes',
  mediaType: 'text/plain; charset=utf-8',
  problems: [notFound],
})

export const inventoryOperations: readonly Operation[] = [
  registerSource,
  listSources,
  readSource,
  probeSource,
  collectSource,
  deliverToSource,
  updateSource,
  retireSource,
  listInventory,
  readInventory,
  readCoverage,
  exportInventory,
  ...resolutionOperations,
]
