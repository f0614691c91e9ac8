namespace FlowMM.Abstractions;

/// <summary>How probable the model held a token of an answer, and which it held most probable instead.</summary>
/// <param name="Chosen">The token of the answer.</param>
/// <param name="Top">The most probable tokens, the most probable first; as many as were asked for.</param>
[GenerateSerializer, Immutable, Alias("flowmm.TokenLogprob")]
public sealed record TokenLogprob([property: Id(0)] TokenScore Chosen, [property: Id(1)] IReadOnlyList<TokenScore> Top);

/// <summary>A token and its log-probability.</summary>
/// <param name="Id">The token.</param>
/// <param name="Text">Its text; bytes that are half of a character show as U+FFFD.</param>
/// <param name="Logprob">Natural logarithm of its probability before penalty, temperature and filters, at most 0.</param>
[GenerateSerializer, Immutable, Alias("flowmm.TokenScore")]
public sealed record TokenScore([property: Id(0)] int Id, [property: Id(1)] string Text, [property: Id(2)] double Logprob);
