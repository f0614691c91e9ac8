using System.Reflection;
using FlowMM.Abstractions;

namespace FlowMM.UnitTests.Gateway.Streams;

/// <summary>A session that is called in vain as a test says; only what a turn's stream needs of it answers.</summary>
public class ScriptedSession : DispatchProxy
{
    private readonly Queue<Func<TurnRequest, IAsyncEnumerable<TurnEvent>>> _calls = [];

    /// <summary>Requests that came.</summary>
    public List<TurnRequest> Requests { get; } = [];

    /// <summary>What is said to how far the turn is.</summary>
    public Func<Task<long?>> Reached { get; set; } = () => Task.FromResult<long?>(null);

    public static (ISessionGrain Grain, ScriptedSession Script) Create()
    {
        ISessionGrain grain = Create<ISessionGrain, ScriptedSession>();
        return (grain, (ScriptedSession)(object)grain);
    }

    /// <summary>The next call says these events and ends with an error, when there is one.</summary>
    public ScriptedSession Says(Exception? error, params TurnEvent[] events)
    {
        _calls.Enqueue(_ => Script(events, () => error is null ? Task.CompletedTask : Task.FromException(error)));
        return this;
    }

    /// <summary>The next call says these events and then nothing until it is left.</summary>
    public ScriptedSession FallsSilent(Task until, params TurnEvent[] events)
    {
        _calls.Enqueue(_ => Script(events, () => until));
        return this;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        switch (targetMethod!.Name)
        {
            case nameof(ISessionGrain.Generate):
                Requests.Add((TurnRequest)args![0]!);
                return _calls.Dequeue()(Requests[^1]);
            case nameof(ISessionGrain.Reached):
                return Reached();
            default:
                throw new NotSupportedException(targetMethod.Name);
        }
    }

    private static async IAsyncEnumerable<TurnEvent> Script(TurnEvent[] events, Func<Task> end)
    {
        foreach (TurnEvent happened in events)
        {
            yield return happened;
        }

        await end();
    }
}
