using System.Diagnostics;
using System.Threading.Channels;
using FlowMM.Abstractions;
using FlowMM.KvCache;
using FlowMM.Model;

namespace FlowMM.Engine;

/// <summary>One turn on its way through the engine: what is still to be prefilled, then what was generated.</summary>
internal sealed class Sequence
{
    private readonly Channel<EngineEvent> _events;
    private readonly StopMatcher _stop;
    private readonly StreamingDetokenizer _detokenizer;
    private readonly List<int> _answer = [];
    private readonly List<TokenScores> _scores = [];
    private readonly TimeProvider _time;
    private readonly long _arrived;
    private readonly long _accepted = Stopwatch.GetTimestamp();
    private long _started;
    private long _first;
    private bool _cancelled;

    public Sequence(TurnInput input, IReadOnlyDictionary<string, ProcessedImage> images, StreamingDetokenizer detokenizer, int chunk, TimeProvider time)
    {
        (Input, Images, _detokenizer, _time, _arrived) = (input, images, detokenizer, time, time.GetTimestamp());
        Runs = [.. input.History, input.Prompt];
        Wanted = [.. Runs.SelectMany(r => r.Identities())];
        Fronts = Engine.Fronts.Of(input.Tenant, Runs[0], chunk);
        _stop = new StopMatcher(input.Sampling.Stop);
        Sampler = new Sampler(input.Sampling);
        Sampler.Saw(input.Prompt.Ids);
        if (input.Sampling.SpeculateTokens > 0)
        {
            Lookup = new PromptLookup(input.Sampling.SpeculateTokens, input.Sampling.SpeculateNgram);
            Array.ForEach(Runs, r => Lookup.Saw(r.Ids));
        }

        // Never full: at most one event a token, and the end.
        _events = Channel.CreateBounded<EngineEvent>(new BoundedChannelOptions(input.Sampling.MaxTokens + 2) { SingleReader = true });
    }

    public TurnInput Input { get; }

    /// <summary>History and prompt.</summary>
    public TokenRun[] Runs { get; }

    /// <summary>Identities of their tokens: what the cache is to hold before the answer.</summary>
    public long[] Wanted { get; }

    /// <summary>Identities of what the cache may hold of the turn already: <see cref="Wanted"/>, and the answer as far as it was said before.</summary>
    public long[] Known => CanRecall ? [.. Wanted, .. Input.Progress.Ids.Select(id => (long)id)] : Wanted;

    /// <summary>Names of the first run's fronts.</summary>
    public string[] Fronts { get; }

    /// <summary>Tokens at the front that came from another conversation of the tenant.</summary>
    public int Shared { get; set; }

    /// <summary>Rises with each arrival.</summary>
    public long Number { get; set; }

    /// <summary>Rises with each chunk of prefill: the least gets the next one.</summary>
    public long LastChunk { get; set; }

    /// <summary>Tokens that its cache must have room for before it can go on: the rest of the run that is computed, or the next token.</summary>
    public int NextTokens => Prefill?.Remaining ?? 1;

    /// <summary>Pictures by hash, decoded and normalised, that the part to be prefilled may need.</summary>
    public IReadOnlyDictionary<string, ProcessedImage> Images { get; }

    public Sampler Sampler { get; }

    /// <summary>Drafts the answer; null when that was not asked for.</summary>
    public PromptLookup? Lookup { get; }

    public ResidentSession? Resident { get; set; }

    /// <summary>What is still to be computed before the first token.</summary>
    public Prefill? Prefill { get; set; }

    public int? Last => _answer.Count > 0 ? _answer[^1] : null;

    public int Generated => _answer.Count;

    public bool Cancelled
    {
        get => Volatile.Read(ref _cancelled);
        set => Volatile.Write(ref _cancelled, value);
    }

    public bool Ended { get; private set; }

    /// <summary>True when it ended because a picture of its history was needed and not decoded.</summary>
    public bool PicturesMissing { get; private set; }

    public int Reused { get; set; }

    public int Replayed { get; set; }

    /// <summary>True when a cache of this session was found in device memory.</summary>
    public bool WasResident { get; set; }

    public double ReplayMs { get; set; }

    /// <summary>How the session's cache came to the device for this turn; null when it was there or is new.</summary>
    public CacheArrival? Arrival { get; set; }

    /// <summary>What is merged of this turn; set when it starts.</summary>
    public MergingTurn Merging { get; set; } = null!;

    public ChannelReader<EngineEvent> Events => _events.Reader;

    /// <summary>The next token, when it was said before.</summary>
    private int? Said => _answer.Count < Input.Progress.Ids.Count ? Input.Progress.Ids[_answer.Count] : null;

    // Scores, and the queries that a long answer is merged by, come of computing: without them every token is computed again.
    private bool CanRecall => Input.Progress.State is not null || (Input.Sampling.Logprobs is null && Input.Prompt.Merging is null or { Method: "full" });

    private TimeSpan Elapsed => _time.GetElapsedTime(_arrived) + (Input.Progress.State?.Elapsed ?? TimeSpan.Zero);

    public void Start() => _started = Stopwatch.GetTimestamp();

    /// <summary>Takes tokens that were said before and that the cache holds, and the one after them.</summary>
    /// <param name="held">How many the cache holds; fewer than were said.</param>
    /// <param name="endIds">Ids that end an answer.</param>
    public void Recall(int held, IReadOnlySet<int> endIds)
    {
        if (Input.Progress.State is { } state)
        {
            _scores.AddRange(state.Scores.Take(held + 1));
            Merging.GoOn(state, Resident!.Cache, Input.Prompt.Merging);
        }

        for (int i = 0; i <= held && !Ended; i++)
        {
            Push(Input.Progress.Ids[i], endIds, contextFull: false);
        }
    }

    /// <summary>Chooses a token; one that was said before is said again.</summary>
    /// <param name="logits">[V]; overwritten.</param>
    /// <param name="position">Its logical index.</param>
    public int Choose(Span<float> logits, int position)
    {
        if (Input.Sampling.Logprobs is not int top)
        {
            return Said ?? Sampler.Choose(logits, position);
        }

        float[] raw = logits.ToArray();
        int chosen = Said ?? Sampler.Choose(logits, position);
        _scores.Add(TokenScores.Of(raw, chosen, top));
        return chosen;
    }

    /// <summary>The token to go on with where one was chosen by its logits alone: one that was said before is said again.</summary>
    public int Chosen(int id) => Said ?? id;

    /// <summary>Takes a generated token; ends the sequence when it is the last.</summary>
    public void Push(int id, IReadOnlySet<int> endIds, bool contextFull)
    {
        _first = _first == 0 ? Stopwatch.GetTimestamp() : _first;
        if (endIds.Contains(id))
        {
            End(FinishReason.Stop, generated: _answer.Count + 1);
            return;
        }

        _answer.Add(id);
        Sampler.Saw([id]);
        Lookup?.Saw([id]);
        string text = _stop.Append(_detokenizer.Append(id));
        _events.Writer.TryWrite(new TokenEvent(id, text, Input.Sampling.Logprobs is null ? null : _scores[_answer.Count - 1]));
        if (_stop.Stopped)
        {
            End(FinishReason.Stop, _answer.Count);
        }
        else if (_answer.Count >= Input.Sampling.MaxTokens || contextFull)
        {
            End(FinishReason.Length, _answer.Count);
        }
    }

    /// <summary>Ends it with what it has when it was cancelled or its time has passed; never with less than was said before.</summary>
    public void EndWhenAsked()
    {
        bool late = Input.Timeout is { } timeout && Elapsed >= timeout;
        if (!Ended && Said is null && (Cancelled || late))
        {
            End(Cancelled ? FinishReason.Cancelled : FinishReason.DeadlineExceeded, _answer.Count);
        }
    }

    /// <summary>Ends it here, to go on elsewhere or later.</summary>
    /// <param name="image">The session's cache.</param>
    public void Freeze(SessionImage? image)
    {
        // Tokens that were to be said again are not lost by it, nor what a turn came with that has not begun here.
        int[] ids = [.. _answer, .. Input.Progress.Ids.Skip(_answer.Count)];
        TurnState state = Resident is null && Input.Progress.State is { } before ? before with { Elapsed = Elapsed } : new()
        {
            Held = Math.Max(0, (image?.Tokens ?? 0) - Wanted.Length),
            Scores = [.. _scores],
            Usage = Measure(_answer.Count, Stopwatch.GetTimestamp()),
            Elapsed = Elapsed,
            Compression = Merging?.Report(),
            Tail = Merging?.Tail(),
        };
        Ended = true;
        _events.Writer.TryWrite(new FrozenEvent(new TurnProgress { Ids = ids, State = state }, image));
        _events.Writer.TryComplete();
    }

    public void Fail(Exception error)
    {
        (Ended, PicturesMissing) = (true, error is PicturesMissingException);
        _events.Writer.TryComplete(error);
    }

    private void End(FinishReason reason, int generated)
    {
        Ended = true;
        string rest = _stop.Stopped ? "" : _stop.Append(_detokenizer.Flush()) + _stop.Flush();
        _events.Writer.TryWrite(new EndEvent
        {
            Ids = [.. _answer],
            Text = rest,
            Reason = reason,
            Usage = Measure(generated, Stopwatch.GetTimestamp()),
            Provenance = Origin(),
            Compression = Merging?.Report(),
            Scores = Input.Sampling.Logprobs is null ? null : [.. _scores.Take(_answer.Count)],
        });
        _events.Writer.TryComplete();
    }

    private Usage Measure(int generated, long now)
    {
        // Of a turn that was frozen, what its other engines measured comes first.
        Usage? before = Input.Progress.State?.Usage;
        long first = _first == 0 ? now : _first;
        bool begun = before is not null && Input.Progress.Ids.Count > 0;
        double prefill = _started == 0 ? 0 : Stopwatch.GetElapsedTime(_started, first).TotalMilliseconds;
        return new()
        {
            PromptTokens = Input.Prompt.Ids.Count,
            CompletionTokens = generated,
            ImageTokens = Input.Prompt.Images.Sum(i => i.Length),
            CachedTokens = Input.History.Count == 0 ? Math.Max(Shared, before?.CachedTokens ?? 0) : 0,
            TimeToFirstTokenMs = (before?.TimeToFirstTokenMs ?? 0) + (begun ? 0 : Stopwatch.GetElapsedTime(_accepted, first).TotalMilliseconds),
            PrefillMs = (before?.PrefillMs ?? 0) + prefill,
            DecodeMs = (before?.DecodeMs ?? 0) + Stopwatch.GetElapsedTime(first, now).TotalMilliseconds,
            DraftedTokens = (before?.DraftedTokens ?? 0) + (Lookup?.Drafted ?? 0),
            AcceptedTokens = (before?.AcceptedTokens ?? 0) + (Lookup?.Accepted ?? 0),
        };
    }

    private Provenance Origin() => new()
    {
        Source = Source(),
        TokensReused = Reused,
        TokensReplayed = Replayed,
        Ms = ReplayMs + (Arrival?.Milliseconds ?? 0),
        Bytes = Arrival?.Bytes ?? 0,
        Node = "",
    };

    private CacheSource Source()
    {
        if (WasResident && Arrival is { Source: CacheSource.Migrated })
        {
            return CacheSource.Migrated;
        }

        return Input.History.Count == 0 ? CacheSource.New : !WasResident ? CacheSource.Replayed : Arrival?.Source ?? CacheSource.Resident;
    }
}
