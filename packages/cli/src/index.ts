/**
 * The `echelon` command, for programs that embed it.
 *
 * @since 0.1.0
 */
export * as Ask from "./Ask.ts"
export * as Check from "./Check.ts"
export * as Demo from "./Demo.ts"
export * as DemoSchedule from "./DemoSchedule.ts"
export * as DemoTable from "./DemoTable.ts"
export * as DemoTally from "./DemoTally.ts"
export * as EmbeddedVariables from "./EmbeddedVariables.ts"
export * as Environment from "./Environment.ts"
export * as Explain from "./Explain.ts"
export * as ExplainJson from "./ExplainJson.ts"
export * as ExplainText from "./ExplainText.ts"
export * as Failure from "./Failure.ts"
export * as Init from "./Init.ts"
export * as Main from "./Main.ts"
export * as Migrate from "./Migrate.ts"
export * as Output from "./Output.ts"
export * as Process from "./Process.ts"
export * as Schema from "./Schema.ts"
