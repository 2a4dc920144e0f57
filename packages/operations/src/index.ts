/**
 * What operating needs beyond effect.
 *
 * @since 0.1.0
 */
export {}
