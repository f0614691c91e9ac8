namespace FlowMM.Cli.Eval;

/// <summary>How the questions of a conversation are put.</summary>
public abstract class EvalProtocol
{
    /// <summary>Most tokens of an answer, as in the references.</summary>
    public const int MostTokens = 24;

    /// <summary>Tokens of prompts that are computed side by side, about.</summary>
    protected const int BatchTokens = 4096;

    /// <summary>Every protocol, in the order that reports show them.</summary>
    public static IReadOnlyList<EvalProtocol> All { get; } = [new AloneProtocol(), new InOrderProtocol()];

    /// <summary>The name in reports.</summary>
    public abstract string Name { get; }

    /// <summary>Asks every question of a set; answers come conversation by conversation, questions in order.</summary>
    /// <param name="model">Who is asked.</param>
    /// <param name="conversations">The set.</param>
    public abstract IEnumerable<EvalAnswer> Ask(EvalModel model, IReadOnlyList<EvalConversation> conversations);
}

/// <summary>A question as it was answered.</summary>
/// <param name="Conversation">Whose.</param>
/// <param name="Turn">The question.</param>
/// <param name="Text">The answer as decoded.</param>
public sealed record EvalAnswer(EvalConversation Conversation, EvalTurn Turn, string Text)
{
    /// <summary>True when the answer is exactly the right one, surrounding blanks aside.</summary>
    public bool Right => Text.Trim() == Turn.Answer;
}
