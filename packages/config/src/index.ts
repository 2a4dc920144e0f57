/**
 * A tree of TOML files, resolved and decoded into a Plan.
 *
 * @since 0.1.0
 */
export * as Compile from "./Compile.ts"
export * as ConfigError from "./ConfigError.ts"
export * as ConfigManagement from "./ConfigManagement.ts"
export * as ConfigProviderTree from "./ConfigProviderTree.ts"
export * as ConfigTree from "./ConfigTree.ts"
export * as Diff from "./Diff.ts"
export * as FileSchemas from "./FileSchemas.ts"
export * as GlobalFile from "./GlobalFile.ts"
export * as GroupFile from "./GroupFile.ts"
export * as JsonSchema from "./JsonSchema.ts"
export * as KeyLocator from "./KeyLocator.ts"
export * as Origin from "./Origin.ts"
export * as PoolFile from "./PoolFile.ts"
export * as Problem from "./Problem.ts"
export * as ProviderFile from "./ProviderFile.ts"
export * as Reference from "./Reference.ts"
export * as Resolve from "./Resolve.ts"
export * as Starter from "./Starter.ts"
export * as Template from "./Template.ts"
export * as Tree from "./Tree.ts"
export * as Variables from "./Variables.ts"
export * as Watch from "./Watch.ts"
export * as WrapperFile from "./WrapperFile.ts"
