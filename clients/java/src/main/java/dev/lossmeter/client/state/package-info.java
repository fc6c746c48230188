/**
 * Exact states: what is kept of batches so that they can be finished together, anywhere.
 *
 * <p>{@link dev.lossmeter.client.state.State#merge} gives the bytes that the service gives, and
 * {@link dev.lossmeter.client.state.Cell} the numbers.
 */
package dev.lossmeter.client.state;
