using FlowMM.Inference.V1;
using Google.Protobuf.WellKnownTypes;
using Records = FlowMM.Abstractions;

namespace FlowMM.Gateway.Requests;

/// <summary>Turns the cluster's records into wire messages.</summary>
internal static class ResponseWriter
{
    public static Session Session(Records.SessionInfo info) => new()
    {
        SessionId = info.SessionId,
        CreateTime = Timestamp.FromDateTimeOffset(info.CreateTime),
        Turns = info.Turns,
        Tokens = info.Tokens,
        Epoch = info.Epoch,
        System = info.Spec.System,
        Model = info.Model,
        Residency = info.Residency switch
        {
            Records.Residency.None => Residency.None,
            Records.Residency.Device => Residency.Device,
            Records.Residency.Host => Residency.Host,
            Records.Residency.Store => Residency.Store,
            _ => Residency.Unspecified,
        },
        CacheBytes = info.CacheBytes,
    };

    public static GenerateResponse Event(Records.TurnEvent turnEvent, string sessionId) => turnEvent switch
    {
        Records.TurnAccepted accepted => new() { Accepted = new() { SessionId = sessionId, TurnId = accepted.TurnId } },
        Records.TextDelta delta => new()
        {
            Delta = new() { Offset = delta.Offset, Text = delta.Text, Tokens = delta.Tokens, Logprobs = { (delta.Logprobs ?? []).Select(Logprob) } },
        },
        Records.TurnFinished finished => new() { Finished = new() { Turn = Turn(finished.Turn) } },
        _ => throw new NotSupportedException($"The event {turnEvent.GetType().Name} has no wire form."),
    };

    public static Turn Turn(Records.Turn turn) => new()
    {
        TurnId = turn.TurnId,
        Index = turn.Index,
        Prompt = turn.Prompt,
        Images = { turn.Images },
        Text = turn.Text,
        FinishReason = turn.FinishReason switch
        {
            Records.FinishReason.Stop => FinishReason.Stop,
            Records.FinishReason.Length => FinishReason.Length,
            Records.FinishReason.Cancelled => FinishReason.Cancelled,
            Records.FinishReason.DeadlineExceeded => FinishReason.DeadlineExceeded,
            _ => FinishReason.Unspecified,
        },
        Usage = Usage(turn.Usage),
        Provenance = Provenance(turn.Provenance),
        Compression = turn.Compression is null ? null : Compression(turn.Compression),
        CommitTime = Timestamp.FromDateTimeOffset(turn.CommitTime),
        Logprobs = { (turn.Logprobs ?? []).Select(Logprob) },
    };

    public static GetModelResponse Model(Records.ModelInfo model) => new()
    {
        Model = model.Model,
        Architecture = model.Architecture,
        Digest = model.Digest,
        ContextLength = model.ContextLength,
        Vocabulary = model.Vocabulary,
        CacheBytesPerToken = model.CacheBytesPerToken,
        TokensPerImage = model.TokensPerImage,
        Device = model.Device,
    };

    private static TokenLogprob Logprob(Records.TokenLogprob logprob) => new() { Chosen = Score(logprob.Chosen), Top = { logprob.Top.Select(Score) } };

    private static TokenScore Score(Records.TokenScore score) => new() { Id = score.Id, Text = score.Text, Logprob = score.Logprob };

    private static Usage Usage(Records.Usage usage) => new()
    {
        PromptTokens = usage.PromptTokens,
        CompletionTokens = usage.CompletionTokens,
        ImageTokens = usage.ImageTokens,
        TimeToFirstTokenMs = usage.TimeToFirstTokenMs,
        PrefillMs = usage.PrefillMs,
        DecodeMs = usage.DecodeMs,
        CachedTokens = usage.CachedTokens,
        DraftedTokens = usage.DraftedTokens,
        AcceptedTokens = usage.AcceptedTokens,
    };

    private static Provenance Provenance(Records.Provenance provenance) => new()
    {
        Source = provenance.Source switch
        {
            Records.CacheSource.New => Source.New,
            Records.CacheSource.Resident => Source.Resident,
            Records.CacheSource.Restored => Source.Restored,
            Records.CacheSource.Replayed => Source.Replayed,
            Records.CacheSource.Migrated => Source.Migrated,
            _ => Source.Unspecified,
        },
        TokensReused = provenance.TokensReused,
        TokensReplayed = provenance.TokensReplayed,
        Ms = provenance.Ms,
        Bytes = provenance.Bytes,
        Node = provenance.Node,
        SnapshotRefused = provenance.SnapshotRefused,
    };

    private static CompressionReport Compression(Records.CompressionReport report) => new()
    {
        Method = report.Method,
        BytesBefore = report.BytesBefore,
        BytesAfter = report.BytesAfter,
        Ratio = report.BytesBefore == 0 ? 1 : (double)report.BytesAfter / report.BytesBefore,
        Ms = report.Ms,
        Layers =
        {
            report.Layers.Select(layer => new LayerReport
            {
                Rho = layer.Rho,
                RhoRaw = layer.RhoRaw,
                Lift = layer.Lift,
                InterModal = layer.InterModal,
                Kept = layer.Kept,
                Merged = layer.Merged,
                DroppedMass = layer.DroppedMass,
            }),
        },
    };
}
