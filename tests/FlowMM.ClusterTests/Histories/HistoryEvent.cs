namespace FlowMM.ClusterTests.Histories;

/// <summary>What a caller did or was told, in the order in which it happened to the log.</summary>
/// <param name="Session">The session.</param>
internal abstract record HistoryEvent(string Session);

/// <summary>A caller began a turn, or asked for it again.</summary>
internal sealed record Invoked(string Session, string Turn) : HistoryEvent(Session);

/// <summary>A caller has the final event.</summary>
/// <param name="Session">The session.</param>
/// <param name="Turn">The turn.</param>
/// <param name="Index">Its place as it was told.</param>
/// <param name="Streamed">The text of the deltas, joined.</param>
/// <param name="Text">The text of the final event.</param>
internal sealed record Acknowledged(string Session, string Turn, int Index, string Streamed, string Text) : HistoryEvent(Session);

/// <summary>A piece of a turn's text came that does not follow what the caller has.</summary>
/// <param name="Session">The session.</param>
/// <param name="Turn">The turn.</param>
/// <param name="Offset">Where the piece begins.</param>
/// <param name="Had">Characters that the caller has.</param>
internal sealed record Misplaced(string Session, string Turn, long Offset, int Had) : HistoryEvent(Session);

/// <summary>A copy was acknowledged: it begins with the first turns of the session.</summary>
internal sealed record Forked(string Session, string Copy, int Turns) : HistoryEvent(Session);

/// <summary>A committed turn as it is stored.</summary>
internal sealed record StoredTurn(string Turn, int Index, string Text);
