namespace FlowMM.Cli.Eval;

/// <summary>A text that is prefilled and merged as one segment, and what is then read over it.</summary>
/// <param name="Ids">Tokens of the segment.</param>
/// <param name="Continuations">Each read over a copy of the merged cache.</param>
public sealed record ScoredText(int[] Ids, IReadOnlyList<Continuation> Continuations);

/// <summary>Tokens that follow a text; the last <paramref name="Scored"/> of them are what is to be predicted.</summary>
/// <param name="Ids">At least two, and as many as are scored.</param>
/// <param name="Scored">At least 1.</param>
public sealed record Continuation(int[] Ids, int Scored);
