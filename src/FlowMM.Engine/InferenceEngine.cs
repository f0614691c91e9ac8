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
    private readonly ILogger<InferenceEngine> _logger;
    private readonly ResidentSessions _sessions;
    private readonly HostSessions _host;
    private readonly Scheduler _scheduler;
    private readonly StepRunner _runner;
    private readonly Channel<Action> _commands;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private int _queued;

    /// <summary>Starts the engine's thread.</summary>
    /// <param name="model">The model; the engine does not dispose it.</param>
    /// <param name="options">How the device is shared.</param>
    /// <param name="logger">Where failed steps are told.</param>
    public InferenceEngine(ChatModel model, EngineOptions options, ILogger<InferenceEngine> logger)
        : this(model, options, logger, TimeProvider.System)
    {
    }

    /// <summary>Starts the engine's thread.</summary>
    /// <param name="model">The model; the engine does not dispose it.</param>
    /// <param name="options">How the device is shared.</param>
    /// <param name="logger">Where failed steps are told.</param>
    /// <param name="time">Tells how long sessions were idle.</param>
    public InferenceEngine(ChatModel model, EngineOptions options, ILogger<InferenceEngine> logger, TimeProvider time)
    {
        (_model, _options, _logger) = (model, options, logger);
        _host = new HostSessions(options.HostBytes);
        _sessions = new ResidentSessions(options.CacheBytes, _host, model.NewCache, time);
        _runner = new StepRunner(model);
        _scheduler = new Scheduler(options, model, _sessions, _runner.NewMerging);
        _commands = Channel.CreateBounded<Action>(new BoundedChannelOptions(2 * options.QueueCapacity) { SingleReader = true });
        _thread = new Thread(Loop) { IsBackground = true, Name = "flowmm-engine" };
        _thread.Start();
    }

    /// <summary>The model that it runs.</summary>
    public ChatModel Model => _model;

    /// <summary>Turns that wait or run.</summary>
    public int Load => Volatile.Read(ref _queued);

    /// <summary>Sessions in device memory.</summary>
    public int ResidentSessions => _sessions.Published;

    /// <summary>Bytes that their caches reserve.</summary>
    public long CacheBytes => _sessions.PublishedBytes;

    /// <summary>Bytes of a session's cache in device memory, or 0.</summary>
    /// <param name="session">The conversation's key.</param>
    public long BytesOf(string session) => _sessions.BytesOf(session);

    /// <summary>Bytes of a session's cache in host memory, or 0.</summary>
    /// <param name="session">The conversation's key.</param>
    public long HostBytesOf(string session) => _host.BytesOf(session);

    /// <summary>True when a session's cache is in device or host memory.</summary>
    /// <param name="session">The conversation's key.</param>
    public bool Holds(string session) => BytesOf(session) > 0 || HostBytesOf(session) > 0;

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
            for (bool again = false; ; again = true)
            {
                Sequence sequence = await Prepare(input, again, cancellationToken);
                await _commands.Writer.WriteAsync(() => _scheduler.Add(sequence), _stop.Token);
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

    /// <summary>Frees a session's cache, on the device and in host memory, unless a turn runs on it.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>False when a turn runs on it.</returns>
    public Task<bool> Forget(string session, CancellationToken cancellationToken) => Command(
        () =>
        {
            if (_sessions.Find(session) is { Busy: true })
            {
                return false;
            }

            _sessions.Remove(session);
            _host.Remove(session);
            return true;
        },
        cancellationToken);

    /// <summary>A copy of a session's cache between two turns.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Busy while a turn runs on it; no image when it is in no memory.</returns>
    public Task<(bool Busy, SessionImage? Image)> Capture(string session, CancellationToken cancellationToken) => Command(
        () => _sessions.Find(session) is { } resident
            ? resident.Busy ? (true, null) : (false, resident.ToHost())
            : (false, _host.Find(session)),
        cancellationToken);

    /// <summary>Makes a verified image a resident session, whose next turn goes on from it.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="image">Of this model.</param>
    /// <param name="arrival">What the next turn reports.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>False when the session is in device memory already, or there is no room.</returns>
    public Task<bool> Restore(string session, SessionImage image, CacheArrival arrival, CancellationToken cancellationToken) =>
        Command(() => _sessions.Restore(session, image, arrival), cancellationToken);

    /// <summary>Moves sessions that were idle for long from the device to host memory, and out of there.</summary>
    /// <param name="onDevice">How long a session may be idle on the device.</param>
    /// <param name="onHost">How long it may then stay in host memory.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>Sessions left on the device.</returns>
    public Task<int> Cool(TimeSpan onDevice, TimeSpan onHost, CancellationToken cancellationToken) => Command(
        () =>
        {
            _sessions.Cool(onDevice, onHost);
            return _sessions.Published;
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

    /// <summary>Runs something on the device's thread, between two steps.</summary>
    private async Task<T> Command<T>(Func<T> work, CancellationToken cancellationToken)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        void Run()
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception error)
            {
                done.SetException(error);
            }
        }

        await _commands.Writer.WriteAsync(Run, cancellationToken);
        return await done.Task.WaitAsync(cancellationToken);
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

    /// <summary>Decodes the pictures that the turn may need, away from the engine's thread.</summary>
    private async Task<Sequence> Prepare(TurnInput input, bool all, CancellationToken cancellationToken)
    {
        Dictionary<string, ProcessedImage> images = [];
        await Decode([input.Prompt], input, images, cancellationToken);
        await input.Ready;
        if (all || !Holds(input.Session))
        {
            await Decode(input.History, input, images, cancellationToken);
        }

        return new Sequence(input, images, new StreamingDetokenizer(_model.Tokenizer));
    }

    private async Task Decode(
        IReadOnlyList<TokenRun> runs, TurnInput input, Dictionary<string, ProcessedImage> images, CancellationToken cancellationToken)
    {
        foreach (string hash in runs.SelectMany(r => r.Images).Select(i => i.Hash).Distinct().Where(h => !images.ContainsKey(h)))
        {
            ReadOnlyMemory<byte> bytes = await input.LoadImage(hash, cancellationToken);
            images[hash] = await Task.Run(() => Decode(bytes), cancellationToken);
        }
    }

    private ProcessedImage Decode(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return _model.Images!.Preprocess(bytes);
        }
        catch (ImageRejectedException rejected)
        {
            throw new RefusedException(ErrorCode.InvalidArgument, rejected.Message);
        }
    }

    private void Loop()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                TakeCommands(wait: _scheduler.Running == 0 && _scheduler.Waiting == 0);
                Step();
            }
        }
        catch (OperationCanceledException)
        {
            // Dispose was called while the engine waited for work.
        }
        finally
        {
            _scheduler.FailAll(new RefusedException(ErrorCode.Unavailable, "The node is shutting down."));
            _sessions.Dispose();
            _runner.Dispose();
        }
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
        Batch batch = _scheduler.Schedule();
        foreach (Sequence sequence in batch.Decoding)
        {
            Try(sequence, () => Publish(sequence, _runner.Decode(sequence)));
        }

        if (batch.Prefilling is Sequence prefilling)
        {
            Try(prefilling, () => Publish(prefilling, _runner.Prefill(prefilling, batch.ChunkLength)));
        }
    }

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

    private void Publish(Sequence sequence, int? token)
    {
        ResidentSession resident = sequence.Resident!;
        if (token is int id)
        {
            sequence.Push(id, _model.EndIds, resident.Cache.LogicalLength + 1 >= _model.ContextLength);
        }

        _sessions.Publish(resident);
    }

    [LoggerMessage(1, LogLevel.Error, "A step failed with {Error}; its sequence was ended.")]
    private partial void StepFailed(Exception exception, string error);
}
