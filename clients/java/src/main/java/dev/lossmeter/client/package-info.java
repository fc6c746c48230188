/**
 * Losses from a Lossmeter service: arrays in, numbers out, to the bit.
 *
 * <p>{@link dev.lossmeter.client.LossmeterClient} asks, {@link dev.lossmeter.client.Evaluation} is
 * what is asked, and {@link dev.lossmeter.client.Answer} what is answered.
 */
package dev.lossmeter.client;
