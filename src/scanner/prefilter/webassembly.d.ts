/** The part of the WebAssembly JavaScript interface that the prefilter uses; the types of Node leave it out. */
declare namespace WebAssembly {
  function validate(bytes: Uint8Array): boolean
  // oxlint-disable-next-line typescript/no-extraneous-class -- so the standard declares it
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Memory {
    readonly buffer: ArrayBuffer
  }
  class Instance {
    constructor(module: Module, imports: object)
    readonly exports: Readonly<Record<string, unknown>>
  }
}
