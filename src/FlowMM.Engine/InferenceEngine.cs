using System.Runtime.CompilerServices;
using System.Threading.Channels;
using FlowMM.Abstractions;
using FlowMM.KvCache;
using FlowMM.Model;
using Microsoft.Extensions.Logging;

namespace FlowMM.Engine;

/// <summary>
/// The engine of one device: one thread owns the device, the sessions' caches and every tensor. Callers queue turns and read events;
/// a step is Schedule, Run, Publish.
/// </summary>
public sealed partial class InferenceEngine : IDisposable
{
    private readonly ChatModel _model;
    private readonly EngineOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<InferenceEngine> _logger;
    private readonly KvMemory _memory;
    private readonly ResidentSessions _sessions;
    private readonly Scheduler _scheduler;
    private readonly StepRunner _runner;
    private readonly TurnPictures _pictures;
    private readonly Channel<Action> _commands;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private int _queued;
    private long _steps;
    private long _allocated;

    /// <summary>Starts the engine's thread, with the system's clock.</summary>
    /// <param name="model">The model; the engine does not dispose it.</param>
    /// <param name="options">How the device is shared.</param>
    /// <param name="logger">Where failed steps are told.</param>
    public InferenceEngine(ChatModel model, EngineOptions options, ILogger<InferenceEngine> logger)
        : this(model, options, TimeProvider.System, logger)
    {
    }

    /// <summary>Starts the engine's thread.</summary>
    /// <param name="model">The model; the engine does not dispose it.</param>
    /// <param name="options">How the device is shared.</param>
    /// <param name="time">Measures the time-outs of turns.</param>
    /// <param name="logger">Where failed steps are told.</param>
    public InferenceEngine(ChatModel model, EngineOptions options, TimeProvider time, ILogger<InferenceEngine> logger)
    {
        (_model, _options, _time, _logger) = (model, options, time, logger);
        _memory = model.NewMemory(options.CacheBytes);
        _sessions = new ResidentSessions(_memory, options.HostCacheBytes, time);
        _runner = new StepRunner(model, options, _sessions);
        _pictures = new TurnPictures(model, _sessions, _runner.Pictures);
        _scheduler = new Scheduler(options.MaxRunning, _sessions, new Admission(model, options, _sessions, _runner.NewMerging));
        _commands = Channel.CreateBounded<Action>(new BoundedChannelOptions(2 * options.QueueCapacity) { SingleReader = true });
        _thread = new Thread(Loop) { IsBackground = true, Name = "flowmm-engine" };
        _thread.Start();
    }

    /// <summary>The model that it runs.</summary>
    public ChatModel Model => _model;

    /// <summary>How the device is shared.</summary>
    public EngineOptions Options => _options;

    /// <summary>Turns that wait or run.</summary>
    public int Load => Volatile.Read(ref _queued);

    /// <summary>Turns that run.</summary>
    public int Running => _scheduler.Running;

    /// <summary>SHA-256 of the pictures whose features are kept, hexadecimal.</summary>
    public IEnumerable<string> Pictures => _runner.Pictures.Hashes;

    /// <summary>Sessions on the device or in host memory.</summary>
    public int ResidentSessions => _sessions.Published;

    /// <summary>The sessions on the device or in host memory, at one moment.</summary>
    public IReadOnlyList<ResidentCache> Residents => _sessions.All;

    /// <summary>Bytes that their caches take on the device.</summary>
    public long CacheBytes => _sessions.PublishedBytes;

    /// <summary>Bytes that caches take in host memory, which had to leave the device or were idle.</summary>
    public long HostBytes => _sessions.PublishedHostBytes;

    /// <summary>Steps that were run.</summary>
    public long Steps => Interlocked.Read(ref _steps);

    /// <summary>Managed bytes that the engine's thread has taken for its steps so far: what they leave to the garbage collector.</summary>
    public long AllocatedBytes => Interlocked.Read(ref _allocated);

    /// <summary>Times that a running turn had to leave the device for others; it went on later where it was.</summary>
    public long Preemptions => _scheduler.Preemptions;

    /// <summary>Where a session's cache is; zeros when it is not here.</summary>
    /// <param name="session">The conversation's key.</param>
    public CacheBytes BytesOf(string session) => _sessions.BytesOf(session);

    /// <summary>Runs a turn. Cancelling ends it at the next step with what it has; it still ends with an <see cref="EndEvent"/>.</summary>
    /// <param name="input">The turn.</param>
    /// <param name="cancellationToken">Ends the answer early.</param>
    /// <exception cref="RefusedException">The queue or the cache memory is full, or a picture is refused.</exception>
    public async IAsyncEnumerable<EngineEvent> Generate(TurnInput input, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _queued) > _options.QueueCapacity)
        {
            Interlocked.Decrement(ref _queued);
            throw new RefusedException(ErrorCode.ResourceExhausted, $"The node's queue of {_options.QueueCapacity} turns is full.");
        }

        try
        {
            // A resident session needs only its new pictures; when it turns out to be gone, the turn begins again with all of them.
            for (Known known = Known.History; ; known = Known.Nothing)
            {
                // Not cancelled: a turn whose pictures are decoded ends as any other, with what it has.
                Sequence sequence = await Prepare(input, known, _stop.Token);
                await Queue(() => _scheduler.Add(sequence), _stop.Token);
                await using CancellationTokenRegistration cancel = cancellationToken.Register(() => sequence.Cancelled = true);
                while (await More(sequence))
                {
                    while (sequence.Events.TryRead(out EngineEvent? happened))
                    {
                        yield return happened;
                    }
                }

                if (!sequence.PicturesMissing)
                {
                    yield break;
                }
            }
        }
        finally
        {
            Interlocked.Decrement(ref _queued);
        }
    }

    /// <summary>Frees a session's cache, unless a turn runs on it.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>False when a turn runs on it.</returns>
    public Task<bool> Forget(string session, CancellationToken cancellationToken) => OnThread(
        () =>
        {
            bool busy = _sessions.Find(session) is { Busy: true };
            if (!busy)
            {
                _sessions.Remove(session);
            }

            return !busy;
        },
        cancellationToken);

    /// <summary>Freezes a session's turn between two tokens: its events end with a <see cref="FrozenEvent"/>.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>False when no turn of it waits or runs here.</returns>
    public Task<bool> Freeze(string session, CancellationToken cancellationToken) => OnThread(() => _scheduler.Freeze(session), cancellationToken);

    /// <summary>A copy of a session's cache between two turns.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Busy while a turn runs on it; no image when it is not here.</returns>
    public Task<(bool Busy, SessionImage? Image)> Capture(string session, CancellationToken cancellationToken) => OnThread(
        () => _sessions.Find(session) is not { } held ? (false, null) : held.Busy ? (true, (SessionImage?)null) : (false, held.Capture()),
        cancellationToken);

    /// <summary>Makes a verified image a session of this engine, whose next turn goes on from it.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="image">Of this model.</param>
    /// <param name="arrival">What the next turn reports.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>False when the session is here already, or there is no room.</returns>
    public Task<bool> Receive(string session, SessionImage image, CacheArrival arrival, CancellationToken cancellationToken) =>
        OnThread(() => _sessions.Receive(session, image, arrival), cancellationToken);

    /// <summary>Moves sessions that were idle for long from the device to host memory, and out of there.</summary>
    /// <param name="onDevice">How long a session may be idle on the device.</param>
    /// <param name="onHost">How long it may then stay in host memory.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public Task Cool(TimeSpan onDevice, TimeSpan onHost, CancellationToken cancellationToken) => OnThread(
        () =>
        {
            _sessions.Cool(onDevice, onHost);
            return true;
        },
        cancellationToken);

    /// <summary>
    /// Gathers the cache memory between two steps and checks that it is exactly what the sessions hold; the engine checks that by itself whenever it
    /// falls idle.
    /// </summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="InvalidOperationException">It is not; the text says what is wrong.</exception>
    public Task<CacheMemory> CheckIntegrity(CancellationToken cancellationToken) => OnThread(
        () =>
        {
            _memory.Compact();
            _sessions.CheckIntegrity();
            return new CacheMemory(_memory.ReservedBytes, _memory.UsedBytes, _memory.SlotsInUse, _sessions.Published);
        },
        cancellationToken);

    /// <summary>Stops the thread; running turns end with an error.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _commands.Writer.TryComplete();
        _thread.Join();
        _stop.Dispose();
    }

    /// <summary>True while events come; false at the end, and when the sequence must begin again.</summary>
    private static async Task<bool> More(Sequence sequence)
    {
        try
        {
            return await sequence.Events.WaitToReadAsync(CancellationToken.None);
        }
        catch (PicturesMissingException)
        {
            return false;
        }
    }

    private async Task<Sequence> Prepare(TurnInput input, Known known, CancellationToken cancellationToken) => new(
        input, await _pictures.Decode(input, known, cancellationToken), new StreamingDetokenizer(_model.Tokenizer), _options.PrefillChunk, _time);

    private void Loop()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                bool idle = _scheduler.Running == 0 && _scheduler.Waiting == 0;
                if (idle)
                {
                    _sessions.CheckIntegrity();
                }

                TakeCommands(idle);
                Step();
                Interlocked.Exchange(ref _allocated, GC.GetAllocatedBytesForCurrentThread());
            }
        }
        catch (OperationCanceledException)
        {
            // Dispose was called while the engine waited for work.
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            // What the engine holds can no longer be trusted: it refuses whatever comes from now on.
            Stopped(error, error.GetType().Name);
        }
        finally
        {
            _commands.Writer.TryComplete();
            while (_commands.Reader.TryRead(out Action? command))
            {
                command();
            }

            _scheduler.FailAll(new RefusedException(ErrorCode.Unavailable, "The node is shutting down."));
            _sessions.Dispose();
            _runner.Dispose();
            _memory.Dispose();
        }
    }

    private async Task Queue(Action command, CancellationToken cancellationToken)
    {
        try
        {
            await _commands.Writer.WriteAsync(command, cancellationToken);
        }
        catch (Exception closed) when (closed is ChannelClosedException || (closed is OperationCanceledException && _stop.IsCancellationRequested))
        {
            throw new RefusedException(ErrorCode.Unavailable, "The node's engine has stopped.");
        }
    }

    /// <summary>Runs something between two steps.</summary>
    private async Task<T> OnThread<T>(Func<T> work, CancellationToken cancellationToken)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        void Run()
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception error) when (error is not OutOfMemoryException)
            {
                done.SetException(error);
            }
        }

        await Queue(Run, cancellationToken);
        return await done.Task.WaitAsync(cancellationToken);
    }

    private void TakeCommands(bool wait)
    {
        if (wait && !_commands.Reader.WaitToReadAsync(_stop.Token).AsTask().GetAwaiter().GetResult())
        {
            return;
        }

        while (_commands.Reader.TryRead(out Action? command))
        {
            command();
        }
    }

    private void Step()
    {
        Interlocked.Increment(ref _steps);
        Batch batch = _scheduler.Schedule();
        if (batch.Decoding.Count < 2 || !_model.DecodesTogether || !TryTogether(batch.Decoding))
        {
            foreach (Sequence sequence in batch.Decoding)
            {
                Try(sequence, () => _runner.Decode([sequence], Finish));
            }
        }

        if (batch.Prefilling is Sequence prefilling)
        {
            Try(prefilling, () => Publish(prefilling, _runner.Prefill(prefilling) is int first ? [first] : []));
        }
    }

    /// <summary>One pass for all. When it fails no cache has changed, and each goes alone to find whose fault it is.</summary>
    private bool TryTogether(IReadOnlyList<Sequence> sequences)
    {
        try
        {
            _runner.Decode(sequences, Finish);
            return true;
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            StepFailed(error, error.GetType().Name);
            return false;
        }
    }

    private void Finish(Sequence sequence, IEnumerable<int> tokens) => Try(sequence, () => Publish(sequence, tokens));

    /// <summary>Runs one sequence's part of a step; an error ends that sequence alone and drops its cache.</summary>
    private void Try(Sequence sequence, Action work)
    {
        try
        {
            work();
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            if (error is not PicturesMissingException)
            {
                StepFailed(error, error.GetType().Name);
            }

            sequence.Fail(error is RefusedException or PicturesMissingException ? error : new RefusedException(ErrorCode.Unavailable, "The turn failed on its node; try it again."));
            _sessions.Remove(sequence.Input.Session);
        }
    }

    private void Publish(Sequence sequence, IEnumerable<int> tokens)
    {
        ResidentSession resident = sequence.Resident!;
        foreach (int id in tokens)
        {
            sequence.Push(id, _model.EndIds, resident.Fed.Count + 1 >= _model.ContextLength);
        }

        _sessions.Publish(resident);
    }

    [LoggerMessage(2, LogLevel.Critical, "The engine stopped with {Error}; every turn is refused from now on.")]
    private partial void Stopped(Exception exception, string error);

    [LoggerMessage(1, LogLevel.Error, "A step failed with {Error}; its sequence was ended.")]
    private partial void StepFailed(Exception exception, string error);
}
